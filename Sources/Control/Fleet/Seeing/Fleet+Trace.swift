public import AgentClient
import AgentProtocol
public import FabricProtocol

/// What is to be traced, as people say it.
public struct TraceWish: Sendable {
    /// `MACHINE` or `MACHINE:INTERFACE`, or `outside`.
    public var from: String
    /// A machine, a network, an address or a name, with a port where the transport has them; from outside an address of this computer.
    public var to: String
    public var transport: TraceRequest.Transport
    /// For so long an answer is waited for.
    public var milliseconds: UInt64
    /// What it asks whoever answers for names.
    var asks: NameQuestion?

    public init(from: String, to: String, transport: TraceRequest.Transport, milliseconds: UInt64) {
        self.from = from
        self.to = to
        self.transport = transport
        self.milliseconds = milliseconds
    }
}

extension MachineFleet {
    /// Sends a packet in a machine's place, and says which way it and its answer take through the fabric.
    public func trace(_ wish: TraceWish, signals: SignalWatcher) throws -> PacketTrace {
        let target = try TraceTarget(wish.to, wish.transport)
        guard let launcher = try Launchers.running(store.paths) else {
            throw FleetError(
                .notRunning, "no machine runs, so nobody can send; `swiftlet ps --all` shows what there is")
        }
        var trace = try trace(wish, target, FabricControl(launcher: launcher, store: store), signals)
        trace.isInEmulatedHost = launcher.isEmulated
        return trace
    }

    private func trace(
        _ wish: TraceWish, _ target: TraceTarget, _ fabric: FabricControl, _ signals: SignalWatcher
    ) throws -> PacketTrace {
        let running = store.list().filter { !$0.state.isOver }
        let networks = store.networks.list()
        let routes = TraceRoutes(
            store: store, networks: networks, running: running, interfaces: { fabric.interfaces(of: $0) })
        let places = TracePlaces(networks, running.map { ($0, fabric.interfaces(of: $0)) }, store.readablePassages())
        // A machine that is called so is one.
        if wish.from == TraceWish.outside, routes.machine(TraceWish.outside, in: nil) == nil {
            return try traceFromOutside(wish, target, routes, places, fabric, signals)
        }
        guard routes.isForeign(target.name) else {
            return try trace(wish, target, try routes.find(from: wish.from, to: target.name), places, fabric, signals)
        }
        let names = try ask(target.name, wish, routes, fabric, signals)
        var unnamed = PacketTrace(
            transport: wish.transport.rawValue,
            from: PacketTrace.End(
                address: names.route.source.address.description, port: nil, name: names.route.source.machine?.name),
            to: PacketTrace.End(address: "", port: target.port, name: target.name))
        let isVersion6 = names.route.source.address.family == .v6
        switch names.answer(isVersion6: isVersion6) {
        case .none?, nil:
            if case .none(let reason)? = names.answer(isVersion6: isVersion6) {
                unnamed.explanation = reason
            } else {
                return names.unanswered(unnamed, judge(names.route, names.sightings, places))
            }
            unnamed.outcome = .unnamed
            return unnamed
        case .addresses(let addresses)?:
            let route = try routes.find(from: wish.from, to: addresses[0].description)
            var traced = try trace(wish, target, route, places, fabric, signals)
            let others = addresses.count == 1 ? "" : " (the first of \(addresses.count))"
            traced.steps.insert(
                PacketTrace.Step(
                    nanoseconds: 0, place: names.route.source.network?.name ?? "",
                    words: "says that \(target.name) is \(addresses[0])\(others)", packet: "", isAnswer: false),
                at: 0)
            return traced
        }
    }

    /// Asks for a name as the machine would: for addresses of IPv4, unless it has none itself.
    private func ask(
        _ name: String, _ wish: TraceWish, _ routes: TraceRoutes, _ fabric: FabricControl, _ signals: SignalWatcher
    ) throws -> TraceNames {
        let (record, interfaces) = try routes.source(wish.from)
        let route = try routes.names(from: record, interfaces)
        let own = route.source.interface?.guestAddresses.compactMap { IPAddress($0.address) } ?? []
        var question = TraceWish(from: wish.from, to: "", transport: .udp, milliseconds: wish.milliseconds)
        question.asks = NameQuestion(name, isVersion6: !own.contains { $0.family == .v4 })
        guard let request = route.request(question, port: 53) else {
            throw FleetError(.notRunning, "nobody can be asked for \(name): \(route.hindrance)")
        }
        return TraceNames(
            name: name, route: route, sightings: TraceSightings(try fabric.trace(request, signals: signals)))
    }

    private func trace(
        _ wish: TraceWish, _ target: TraceTarget, _ route: TraceRoute, _ places: TracePlaces, _ fabric: FabricControl,
        _ signals: SignalWatcher
    ) throws -> PacketTrace {
        let foreign = route.destination.machine == nil && IPAddress(target.name) == nil ? target.name : nil
        var trace = PacketTrace(
            transport: wish.transport.rawValue,
            from: PacketTrace.End(
                address: route.source.address.description, port: nil, name: route.source.machine?.name),
            to: PacketTrace.End(
                address: route.destination.address.description, port: target.port,
                name: route.destination.name ?? foreign))
        var sightings = TraceSightings([[UInt8]]())
        if let request = route.request(wish, port: target.port) {
            sightings = TraceSightings(try fabric.trace(request, signals: signals))
            trace.from.port = sightings.sourcePort
            if wish.transport == .icmp { trace.from.port = nil }
        }
        return judge(route, sightings, places).judged(trace)
    }

    private func judge(_ route: TraceRoute, _ sightings: TraceSightings, _ places: TracePlaces) -> TraceJudgement {
        var judgement = judgement(route, sightings, places)
        let last = sightings.frames.last { $0.kind == .question }?.device
        if last == "up0" || last.map({ places[$0] == .behind && $0.hasPrefix("@") }) == true {
            judgement.hindrances = outsideHindrances(of: [route.destination.address.family])
        }
        return judgement
    }

    func judgement(
        _ route: TraceRoute, _ sightings: TraceSightings, _ places: TracePlaces
    ) -> TraceJudgement {
        var judgement = TraceJudgement(route: route, sightings: sightings, places: places)
        judgement.isUsers = hasUsersFabric
        let wires = wires()
        let ends = [route.source.network?.name, route.destination.network?.name].compactMap { $0 }
        for wire in wires where wire.between.map(Set.init) == Set(ends) {
            judgement.avoided = wire.members.filter { $0.entry.outside != nil && $0.isInLine == false }.map {
                TraceJudgement.Appliance(
                    name: $0.entry.name, isFailing: !$0.entry.isBypassed, failsOpen: $0.entry.failsOpen)
            }
        }
        for member in wires.flatMap(\.members) {
            var appliance = TraceJudgement.Appliance(
                name: member.entry.name, isFailing: member.isFailing ?? false, failsOpen: member.entry.failsOpen)
            for end in member.entry.ends {
                appliance.nextHop = member.entry.nextHop(from: end, route.destination.address.family)
                judgement.appliances[FabricPort.tap(end)] = appliance
            }
        }
        return judgement
    }
}

extension TraceRoute.End {
    /// The machine, or the network whose gateway it is; nil: it is elsewhere.
    var name: String? {
        machine?.name ?? (network?.gatewayAddresses.contains(address) == true ? network?.name : nil)
    }
}

extension TraceRoute {
    /// Nil where there is nobody to hand it to.
    func request(_ wish: TraceWish, port: UInt16?) -> TraceRequest? {
        guard let nextStation, let interface = source.interface, let number = interface.portNumber,
            let station = HardwareAddress.bytes(interface.hardwareAddress)
        else { return nil }
        var request = TraceRequest(
            port: number, transport: wish.transport, station: station, nextStation: nextStation,
            source: source.address, destination: destination.address, destinationPort: port ?? 0,
            milliseconds: wish.milliseconds)
        request.question = wish.asks
        return request
    }
}
