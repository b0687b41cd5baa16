import AgentProtocol

/// What is said of others than the machine that a packet was for.
extension TraceJudgement {
    /// The machine that it was for, when nothing was seen at any of its ends.
    private var missed: MachineRecord? {
        guard visit == nil, let machine = route.destination.machine else { return nil }
        let isSeen = sightings.frames.contains { frame in
            guard frame.device != home, case .machine(machine.name, _, _)? = places[frame.device] else { return false }
            return true
        }
        return isSeen ? nil : machine
    }

    /// That the machine which it was for was not reached, behind what became of a packet that left the fabric.
    var unreachedMachine: String {
        guard let missed else { return "" }
        let words = "; \(missed.name) was never reached"
        guard let network = route.source.network?.name, let other = route.destination.network?.name, network != other
        else { return words }
        return "\(words): nothing leads from \(network) to \(other)"
    }

    /// What somebody else answers in the place of the machine that it was for.
    /// - Returns: whether it is that.
    func judgeStranger(_ back: TraceSightings.Frame, _ target: String, _ trace: inout PacketTrace) -> Bool {
        guard let missed, let does = deed(back, trace) else { return false }
        let first = sightings.frames.first { $0.kind != .question } ?? back
        let name: String
        switch places[first.device] {
        case .outside, .computer, .behind:
            trace.outcome = .lost
            trace.lastPlace = TracePlaces.Place.outside.name
            trace.explanation = "it has left this fabric, and somebody there \(does)\(unreachedMachine)"
            return true
        case .machine(let other, _, _) where first.device != home: name = other
        case .appliance(let other, _): name = other
        default: name = "somebody on the way"
        }
        trace.outcome = back.kind == .accepted || back.kind == .answered ? .answered : .refused
        trace.explanation = "\(name) \(does) in the place of \(missed.name), which was never reached"
        return true
    }

    /// What it means; nil: a message that says itself who sends it.
    private func deed(_ back: TraceSightings.Frame, _ trace: PacketTrace) -> String? {
        switch back.kind {
        case .accepted, .question, .answered: return "answers at \(service(trace))"
        case .reset: return "refuses \(service(trace))"
        case .refused(let kind, let code):
            let isPort = back.from.contains(":") ? (kind, code) == (1, 4) : (kind, code) == (3, 3)
            return isPort && back.from == trace.to.address ? "refuses \(service(trace))" : nil
        }
    }

    /// That traffic between the two networks goes around what is there, before what the networks say.
    func detour(_ other: String) -> String {
        guard !avoided.isEmpty, let network = route.source.network?.name else { return "" }
        let names = avoided.map { "\($0.name)\($0.isFailing ? " fails" : " is bypassed")" }.joined(separator: ", ")
        return
            "between \(network) and \(other) \(names), so that traffic goes around it, by what the networks say: "
    }
}
