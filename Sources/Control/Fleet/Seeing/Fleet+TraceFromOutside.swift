import AgentClient
import AgentProtocol
import FabricProtocol

/// Whom somebody asks who asks this computer for one of its ports.
struct OutsideVisit: Equatable {
    /// Of this computer.
    var address: IPAddress
    var port: UInt16
    /// The machine's; nil where the port is nobody's.
    var machinePort: UInt16?

    /// What of a machine's published ports it is; nil: none.
    func published(among ports: [PublishedPort], _ transport: PublishedPort.Transport) -> PublishedPort? {
        ports.first { published in
            published.transport == transport && published.ports.contains(port)
                && published.families.contains(address.family) && (published.onlyAddress ?? address) == address
        }
    }
}

/// What `trace` calls whoever is in no network.
extension TraceWish {
    static let outside = "outside"
}

extension MachineFleet {
    /// Has this computer ask for one of its own ports, as somebody outside would, and says which way that takes.
    func traceFromOutside(
        _ wish: TraceWish, _ target: TraceTarget, _ routes: TraceRoutes, _ places: TracePlaces, _ fabric: FabricControl,
        _ signals: SignalWatcher
    ) throws -> PacketTrace {
        guard let port = target.port, let transport = PublishedPort.Transport(rawValue: wish.transport.rawValue) else {
            throw FleetError(
                .invalidSetting, "ports are published for tcp and udp; a ping gets to no machine from outside")
        }
        guard let address = target.name == "localhost" ? IPAddress(v4: 127, 0, 0, 1) : IPAddress(target.name),
            !address.isUnspecified
        else {
            throw FleetError(
                .invalidSetting,
                "from outside this computer is asked, by an address of its own and not by \"\(target.name)\": localhost:\(port), 192.0.2.1:\(port), [::1]:\(port)"
            )
        }
        var visit = OutsideVisit(address: address, port: port)
        var destination = TraceRoute.End(address: address)
        let holder = routes.running.lazy.compactMap { record in
            visit.published(among: record.specification.published, transport).map { (record, $0) }
        }.first
        if let (record, published) = holder {
            visit.machinePort = published.machinePort + (port - published.ports.lowerBound)
            guard let interface = store.publishedInterface(of: record, fabric.interfaces(of: record))?.interface,
                let own = interface.guestAddresses.lazy.compactMap({ IPAddress($0.address) })
                    .first(where: { $0.family == address.family })
            else {
                throw FleetError(
                    .invalidSetting,
                    "\(published) is published for \"\(record.name)\", which has no address of that family in a network"
                )
            }
            destination = TraceRoute.End(
                address: own, machine: record, interface: interface, network: routes.network(of: interface))
        }
        // In the emulated host nobody tells addresses of IPv4 apart.
        let asked = fabric.launcher.isEmulated && address.family == .v4 ? IPAddress(v4: 127, 0, 0, 1) : address
        let nobody: [UInt8] = [2, 0, 0, 0, 0, 0]
        let request = TraceRequest(
            port: nil, transport: wish.transport, station: nobody, nextStation: nobody, source: asked,
            destination: asked, destinationPort: port, milliseconds: wish.milliseconds)
        let sightings = TraceSightings(try fabric.trace(request, signals: signals))
        var trace = PacketTrace(
            transport: wish.transport.rawValue,
            from: PacketTrace.End(address: asked.description, port: sightings.sourcePort, name: TraceWish.outside),
            to: PacketTrace.End(address: address.description, port: port, name: destination.machine?.name))
        let route = TraceRoute(
            source: TraceRoute.End(address: asked), destination: destination, nextStation: nobody)
        var judgement = judgement(route, sightings, places)
        judgement.visit = visit
        judgement.hindrances = outsideHindrances(of: [address.family])
        guard let holder else {
            let resting = store.list().first { record in
                record.state.isOver && visit.published(among: record.specification.published, transport) != nil
            }
            return judgement.judgedUnpublished(trace, resting: resting?.name)
        }
        trace = judgement.judged(trace)
        trace.steps.insert(
            PacketTrace.Step(
                nanoseconds: 0, place: TracePlaces.Place.computer(device: "").name,
                words: "has it published as \(holder.1) for \(holder.0.name)", packet: "", isAnswer: false),
            at: min(1, trace.steps.count))
        return trace
    }
}

extension TraceJudgement {
    /// What has become of what nobody has published.
    /// - Parameter resting: a machine that does not run, and would have the port.
    func judgedUnpublished(_ trace: PacketTrace, resting: String?) -> PacketTrace {
        var trace = trace
        trace.tellsRules = sightings.tellsRules
        trace.outcome = .unpublished
        trace.steps = [sending]
        let what = "\(trace.transport) port \(trace.to.port ?? 0) of \(TraceTarget.written(trace.to.address))"
        trace.explanation = "\(what) is published for no machine"
        if let resting { trace.explanation = "\(what) is published for \(resting), which does not run" }
        let answers = sightings.frames.filter { $0.kind != .question }
        if answers.contains(where: { $0.kind == .accepted || $0.kind == .answered }) {
            trace.explanation += "; a program of this computer answers there"
        } else if !answers.isEmpty {
            trace.explanation += ", and no program of this computer listens there"
        }
        return trace
    }
}
