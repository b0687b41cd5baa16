public import AgentClient
import AgentProtocol
public import FabricProtocol

/// What is to be traced, as people say it.
public struct TraceWish: Sendable {
    /// `MACHINE` or `MACHINE:INTERFACE`.
    public var from: String
    /// A machine, a network, an address or a name of the fabric, with a port where the transport has them.
    public var to: String
    public var transport: TraceRequest.Transport
    /// For so long an answer is waited for.
    public var milliseconds: UInt64

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
        let fabric = FabricControl(launcher: launcher, store: store)
        let running = store.list().filter { !$0.state.isOver }
        let networks = store.networks.list()
        let routes = TraceRoutes(
            store: store, networks: networks, running: running, interfaces: { fabric.interfaces(of: $0) })
        let route = try routes.find(from: wish.from, to: target.name)
        var trace = PacketTrace(
            transport: wish.transport.rawValue,
            from: PacketTrace.End(
                address: route.source.address.description, port: nil, name: route.source.machine?.name),
            to: PacketTrace.End(
                address: route.destination.address.description, port: target.port, name: route.destination.name))
        let places = TracePlaces(networks, running.map { ($0, fabric.interfaces(of: $0)) }, store.readablePassages())
        var sightings = TraceSightings([[UInt8]]())
        if let request = route.request(wish, target) {
            sightings = TraceSightings(try fabric.trace(request, signals: signals))
            trace.from.port = sightings.sourcePort
            if wish.transport == .icmp { trace.from.port = nil }
        }
        var judgement = TraceJudgement(route: route, sightings: sightings, places: places)
        for member in wires().flatMap(\.members) {
            var appliance = TraceJudgement.Appliance(
                name: member.entry.name, isFailing: member.isFailing ?? false, failsOpen: member.entry.failsOpen)
            for end in member.entry.ends {
                appliance.nextHop = member.entry.nextHop(from: end, route.destination.address.family)
                judgement.appliances[FabricPort.tap(end)] = appliance
            }
        }
        if sightings.frames.last(where: { $0.kind == .question })?.device == "up0" {
            judgement.hindrances = outsideHindrances()
        }
        return judgement.judged(trace)
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
    func request(_ wish: TraceWish, _ target: TraceTarget) -> TraceRequest? {
        guard let nextStation, let interface = source.interface, let number = interface.portNumber,
            let station = HardwareAddress.bytes(interface.hardwareAddress)
        else { return nil }
        return TraceRequest(
            port: number, transport: wish.transport, station: station, nextStation: nextStation,
            source: source.address, destination: destination.address, destinationPort: target.port ?? 0,
            milliseconds: wish.milliseconds)
    }
}
