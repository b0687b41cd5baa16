import AgentClient
import AgentProtocol
import FabricProtocol
import Networks

/// What a name that is elsewhere means to a machine: it is asked for as the machine would ask, and refused as it would be.
struct TraceNames {
    enum Answer: Equatable {
        case addresses([IPAddress])
        /// Why not, in plain words.
        case none(String)
    }

    let name: String
    /// From the machine to who answers for names.
    let route: TraceRoute
    let sightings: TraceSightings

    /// - Parameter isVersion6: which addresses were asked for.
    func answer(isVersion6: Bool) -> Answer? {
        guard let code = sightings.answerCode else { return nil }
        if !sightings.addresses.isEmpty { return .addresses(sightings.addresses) }
        let network = route.source.network
        let machine = route.source.machine
        if let rules = machine?.specification.egress, !rules.contains(where: covers) {
            let machine = machine?.name ?? ""
            return .none(
                "the egress rules of \(machine) do not let it ask for \(name); swiftlet egress ls \(machine) shows what they allow"
            )
        }
        if let leader = route.destination.machine, code != 0, code != 3 {
            return .none(
                "\(leader.name) (\(route.destination.address)), which leads out of \(network?.name ?? "its network") and is asked for names there, does not tell \(name) (code \(code)); whom it asks itself is not known here"
            )
        }
        if let network, network.isRouted, !network.reachesOutside {
            return .none(
                "\(network.name) is isolated: names from outside are not told there (network create --isolated)")
        }
        switch code {
        case 0: return .none("\(name) has no address of \(isVersion6 ? "IPv6" : "IPv4")")
        case 3: return .none("there is no name \(name)")
        case 5: return .none("\(network?.name ?? "its network") has nobody to ask for \(name), or is not told it")
        default:
            return .none("whom \(network?.name ?? "its network") asks for names does not answer (code \(code))")
        }
    }

    /// What has become of the question, where nobody has answered it.
    /// - Parameter trace: its two ends, as they were asked for.
    func unanswered(_ trace: PacketTrace, _ judgement: TraceJudgement) -> PacketTrace {
        let network = route.source.network?.name ?? "its network"
        let server =
            route.destination.machine.map { "\($0.name), which leads out of \(network)," }
            ?? "the name server of \(network)"
        var question = trace
        question.transport = "udp"
        question.to = PacketTrace.End(address: route.destination.address.description, port: 53, name: server)
        var judged = judgement.judged(question)
        if judged.outcome == .delivered {
            judged.explanation =
                "\(server) got the question and has not answered in time (--timeout); whom it asks itself may say nothing"
        }
        (judged.transport, judged.to, judged.outcome) = (trace.transport, trace.to, .unnamed)
        judged.explanation = "\(name) cannot be asked for: \(judged.explanation)"
        return judged
    }

    private func covers(_ rule: EgressRule) -> Bool {
        guard case .domain(let domain) = rule.destination else { return false }
        let name = name.lowercased()
        return name == domain || name.hasSuffix(".\(domain)")
    }
}

extension TraceRoutes {
    /// Whether it can only be a name that the fabric does not give.
    func isForeign(_ name: String) -> Bool {
        name.contains(".") && !name.hasPrefix("@") && IPAddress(name) == nil
            && NameQuestion(name, isVersion6: false) != nil && !name.lowercased().hasSuffix(".internal")
            && machine(name, in: nil) == nil && !networks.contains { $0.name == name }
            && (try? store.find(name)) == nil
    }

    /// To whoever answers for names in the network by which the machine reaches others.
    /// - Parameter own: the interfaces by one of which it may go.
    func names(from record: MachineRecord, _ own: [AssignedInterface]) throws(FleetError) -> TraceRoute {
        let routing = store.routingInterface(of: record, store.attachments(of: record))
        let interface = own.first { $0 == routing } ?? own[0]
        guard let network = network(of: interface) else {
            throw FleetError(.damagedRecord, "the network of \(record.name):\(interface.guestName) cannot be read")
        }
        for address in interface.guestAddresses.compactMap({ IPAddress($0.address) }) {
            guard let gateway = network.gatewayAddresses.first(where: { $0.family == address.family }),
                gateway != address
            else { continue }
            let source = TraceRoute.End(address: address, machine: record, interface: interface, network: network)
            return handing(TraceRoute(source: source, destination: holder(of: gateway, in: [network])))
        }
        throw FleetError(
            .invalidSetting,
            "nobody leads out of \"\(network.name)\" whom \"\(record.name)\" could ask for names; say an address")
    }
}
