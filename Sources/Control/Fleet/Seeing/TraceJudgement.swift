import AgentProtocol
import FabricProtocol
import Networks

/// Says in plain words what has become of a packet.
struct TraceJudgement {
    /// An appliance in a wire, by its ends' devices.
    struct Appliance {
        var name: String
        /// Whether it is known to let nothing through.
        var isFailing: Bool
        var failsOpen: Bool
        /// Of one that routes: to whom it is to hand what it gets at that end.
        var nextHop: IPAddress?
    }

    let route: TraceRoute
    let sightings: TraceSightings
    var places: TracePlaces
    var appliances: [String: Appliance] = [:]
    /// Chains of this computer's rules that drop what goes out of networks; in an ordinary user's fabric, sentences of what keeps it in.
    var hindrances: [String] = []
    /// Whether the fabric is an ordinary user's, which leads out by a program of that user's.
    var isUsers = false
    /// Appliances between the two networks that traffic goes around.
    var avoided: [Appliance] = []
    /// Where it comes from outside; nil: from a machine.
    var visit: OutsideVisit?

    private var machineName: String { route.source.machine?.name ?? "" }
    private var networkName: String { route.source.network?.name ?? "" }
    var home: String { route.source.interface?.hostDevice ?? "" }

    /// - Parameter trace: its two ends.
    func judged(_ trace: PacketTrace) -> PacketTrace {
        var trace = trace
        trace.tellsRules = sightings.tellsRules
        if let reason = unsent {
            trace.explanation = reason
            return trace
        }
        let shown = sightings.frames.filter(isShown)
        trace.steps = [sending]
        var lastPackets = [false: sightings.text]
        for frame in shown {
            let isAnswer = frame.kind != .question
            trace.steps.append(
                PacketTrace.Step(
                    nanoseconds: frame.nanoseconds, place: places[frame.device]?.name ?? frame.device,
                    words: words(frame, isFirst: lastPackets[isAnswer] == nil, lastPackets[isAnswer]),
                    packet: frame.text, isAnswer: isAnswer))
            lastPackets[isAnswer] = frame.text
        }
        addDecisions(&trace)
        judge(shown, &trace)
        if let loss = sightings.losses.first(where: { $0.isAnswer == (trace.outcome == .answerLost) }),
            [.dropped, .answerLost].contains(trace.outcome)
        {
            trace.rule = loss.rule
            let step = PacketTrace.Step(
                nanoseconds: trace.steps.last { $0.isAnswer == loss.isAnswer }?.nanoseconds ?? 0,
                place: trace.lastPlace ?? "", words: loss.isAnswer ? "drops the answer" : "drops it", packet: "",
                isAnswer: loss.isAnswer)
            let place = trace.steps.lastIndex { $0.isAnswer == loss.isAnswer } ?? trace.steps.count - 1
            trace.steps.insert(step, at: place + 1)
        }
        return trace
    }

    var sending: PacketTrace.Step {
        let computer = TracePlaces.Place.computer(device: "").name
        return PacketTrace.Step(
            nanoseconds: 0, place: visit != nil ? computer : places[home]?.name ?? machineName,
            words: "sends \(sightings.text)", packet: sightings.text, isAnswer: false)
    }

    /// What has let it out, or in, and where the computer sends it on to.
    private func addDecisions(_ trace: inout PacketTrace) {
        func insert(_ words: String, _ place: String, behind name: String) {
            guard let index = trace.steps.lastIndex(where: { !$0.isAnswer && $0.place == name }) else { return }
            trace.steps.insert(
                PacketTrace.Step(
                    nanoseconds: trace.steps[index].nanoseconds, place: place, words: words, packet: "", isAnswer: false
                ),
                at: index + 1)
        }
        let outside = TracePlaces.Place.outside.name
        if visit != nil {
            if let rule = sightings.permissions.first?.comment {
                insert("its rule for \(rule) lets it in", outside, behind: outside)
            }
            return
        }
        if let rule = sightings.permissions.first?.comment {
            insert("the egress rule \(rule) of \(machineName) lets it pass", networkName, behind: networkName)
        }
        let words: String? =
            switch sightings.wayOutside {
            case .over(let device, let gateway):
                "its route leads \(gateway.map { "to \($0) " } ?? "")by \(device)"
            case .own: "has the address \(route.destination.address) itself"
            case .none(let error)?: "no route leads to \(route.destination.address) (\(error))"
            case nil: nil
            }
        if let words { insert(words, TracePlaces.Place.computer(device: "").name, behind: outside) }
    }

    /// Why nothing was sent; nil where it was.
    private var unsent: String? { route.nextStation == nil ? route.hindrance : nil }

    /// Of links that are two ends of one thing one is told.
    private func isShown(_ frame: TraceSightings.Frame) -> Bool {
        switch places[frame.device] {
        case .behind: false
        case .passage: !(frame.isSent && isUpper(frame.device)) && !(!frame.isSent && !isUpper(frame.device))
        case .network: !frame.isForOthers
        default: true
        }
    }

    /// Of a passage's two devices the one that stands for a machine's end.
    private func isUpper(_ device: String) -> Bool { device.hasPrefix("t") }

    // MARK: Steps

    private func words(_ frame: TraceSightings.Frame, isFirst: Bool, _ last: String?) -> String {
        let isAnswer = frame.kind != .question
        let it = isAnswer ? "the answer" : "it"
        if isFirst {
            let packet = isAnswer ? Self.spoken(frame) : frame.text
            switch places[frame.device] {
            case .outside: return "from outside comes: \(packet)"
            case .computer(let device): return "from outside comes, by \(device): \(packet)"
            case .wire, .passage, .stretch: break
            default: return "answers: \(packet)"
            }
        }
        var words =
            switch places[frame.device] {
            case .appliance where !frame.isSent && appliances[frame.device]?.nextHop != nil: "routes \(it)"
            case .machine, .appliance: frame.isSent ? "gets \(it)" : "sends \(it) on"
            case .wire(_, let network): frame.isSent ? "enters \(network)" : "leaves \(network)"
            case .passage: frame.isSent ? "leaves the wire between them" : "enters the wire between them"
            case .network: frame.isSent ? "its gateway sends \(it) on" : "its gateway gets \(it)"
            case .stretch: frame.isSent ? "enters the impaired stretch" : "leaves the impaired stretch"
            case .outside: frame.isSent ? "leaves the fabric" : "comes into the fabric"
            case .computer(let device):
                frame.isSent ? "\(isAnswer ? "is sent on" : "leaves it") by \(device)" : "comes by \(device)"
            default: frame.isSent ? "sends \(it)" : "gets \(it)"
            }
        // Somebody has translated it.
        if let last, last != frame.text { words += " as \(frame.text)" }
        return words
    }

    private static func spoken(_ frame: TraceSightings.Frame) -> String {
        guard case .refused(let kind, let code) = frame.kind else { return frame.text }
        return "\(frame.from) says: \(message(kind, code, isVersion6: frame.from.contains(":")))"
    }

    /// Source: RFC 792, RFC 1812 §5.2.7, RFC 4443 §3.
    static func message(_ kind: Int64, _ code: Int64, isVersion6: Bool) -> String {
        switch (isVersion6, kind, code) {
        case (false, 3, 0), (true, 1, 0): "no way leads to that network"
        case (false, 3, 1), (true, 1, 3): "nobody answers for that address"
        case (false, 3, 2): "nothing speaks that protocol there"
        case (false, 3, 3), (true, 1, 4): "nothing listens at that port"
        case (false, 3, 4), (true, 2, _): "it is too long"
        case (false, 3, 9), (false, 3, 10), (false, 3, 13), (true, 1, 1), (true, 1, 5), (true, 1, 6):
            "that is prohibited"
        case (false, 11, _), (true, 3, _): "it was handed on too often"
        default: "it cannot be delivered (kind \(kind), code \(code))"
        }
    }

    // MARK: Outcome

    private func judge(_ shown: [TraceSightings.Frame], _ trace: inout PacketTrace) {
        let questions = shown.filter { $0.kind == .question }
        let answers = shown.filter { $0.kind != .question }
        // What has come back to this computer is at a link that is told as another's end.
        let back =
            visit == nil
            ? answers.first { $0.device == home && $0.isSent }
            : sightings.frames.first { $0.kind != .question && $0.device.hasPrefix("@") && !$0.isSent }
        let loss = sightings.losses.first { !$0.isAnswer }
        let target = trace.to.name ?? trace.to.address
        if let back {
            if !judgeStranger(back, target, &trace) { judge(back, loss, target, &trace) }
            let chains = hindrances.map { "\"\($0)\"" }.joined(separator: ", ")
            if visit != nil, trace.isSuccess, !chains.isEmpty {
                trace.explanation += "; who is not on this computer may be kept from it by \(chains)"
            }
        } else if answers.isEmpty, let loss {
            trace.outcome = .dropped
            trace.lastPlace = place(of: loss.rule, questions.last)
            trace.explanation = reason(loss, questions.last)
        } else if let last = answers.last {
            trace.outcome = .answerLost
            let loss = sightings.losses.first(where: \.isAnswer)
            trace.lastPlace = loss.flatMap { place(of: $0.rule, last) } ?? places[last.device]?.name
            trace.explanation =
                "\(target) has answered, but "
                + (loss.map { "the answer is dropped: \(reason($0, last))" } ?? "the answer was last seen there")
        } else if questions.contains(where: isDelivery) {
            trace.lastPlace = places[questions.last(where: isDelivery)?.device ?? ""]?.name
            let isDatagram = trace.transport == "udp"
            trace.outcome = isDatagram ? .delivered : .unanswered
            trace.explanation =
                isDatagram
                ? "\(target) got it and has not refused it; whether a program takes it, only an answer would tell"
                : "\(target) got it and says nothing: it hangs or stands still, or has rules of its own that drop it"
        } else {
            trace.outcome = .lost
            trace.lastPlace = questions.last.flatMap { places[$0.device]?.name } ?? places[home]?.name
            trace.explanation = questions.last.map(guess) ?? untaken
        }
    }

    func service(_ trace: PacketTrace) -> String {
        (visit?.machinePort ?? trace.to.port).map { "\(trace.transport) port \($0)" } ?? "ping"
    }

    /// What has come back to the machine.
    private func judge(
        _ back: TraceSightings.Frame, _ loss: TraceSightings.Loss?, _ target: String, _ trace: inout PacketTrace
    ) {
        let service = service(trace)
        switch back.kind {
        case .accepted:
            trace.outcome = .answered
            trace.explanation = "\(target) answers at \(service): something listens there"
        case .question, .answered:
            trace.outcome = .answered
            trace.explanation = "\(target) answers" + (trace.to.port == nil ? "" : " at \(service)")
        case .reset:
            trace.outcome = .refused
            trace.explanation = "\(target) refuses: nothing listens at \(service)"
        case .refused(let kind, let code):
            let isVersion6 = back.from.contains(":")
            let isPort = isVersion6 ? (kind, code) == (1, 4) : (kind, code) == (3, 3)
            if let loss {
                trace.outcome = .dropped
                let last = sightings.frames.last { $0.kind == .question && isShown($0) }
                trace.lastPlace = place(of: loss.rule, last)
                trace.explanation = reason(loss, last)
            } else if isPort, visit != nil || back.from == trace.to.address {
                trace.outcome = .refused
                trace.explanation = "\(target) refuses: nothing listens at \(service)"
            } else {
                trace.outcome = .unreachable
                trace.lastPlace = sightings.frames.last { $0.kind == .question && isShown($0) }.flatMap {
                    places[$0.device]?.name
                }
                trace.explanation = "\(speaker(of: back)) says: \(Self.message(kind, code, isVersion6: isVersion6))"
                if isVersion6, (kind, code) == (1, 0), route.destination.network == nil {
                    trace.explanation +=
                        isUsers
                        ? "; \(WayOutProgram.v6)"
                        : "; networks lead out by IPv6 where this computer forwards it (net.ipv6.conf.all.forwarding)"
                }
            }
        }
    }

    /// Its address, and its name where it is an appliance.
    private func speaker(of answer: TraceSightings.Frame) -> String {
        let first = sightings.frames.first { $0.kind == answer.kind && $0.from == answer.from }
        guard let first, !first.isSent, case .appliance(let name, _) = places[first.device] else { return answer.from }
        return "\(name) (\(answer.from))"
    }

    /// Whether it has come to whom it is for.
    private func isDelivery(_ frame: TraceSightings.Frame) -> Bool {
        if let device = route.destination.interface?.hostDevice { return frame.device == device && frame.isSent }
        guard let network = route.destination.network, case .network(network.name)? = places[frame.device] else {
            return false
        }
        return !frame.isSent
    }

    // MARK: Where it is lost

    /// What is known where no rule has dropped it.
    private func guess(_ last: TraceSightings.Frame) -> String {
        switch places[last.device] {
        case .appliance(let name, _):
            guard last.isSent else { return "\(name) has let it out there, and it was seen nowhere behind" }
            let appliance = appliances[last.device]
            let state =
                appliance.map {
                    $0.isFailing ? "; it lets no probes through either\($0.failsOpen ? "" : " (--fail closed)")" : ""
                }
                ?? ""
            let route =
                appliance?.nextHop.map { "; it takes a route to \(self.route.destination.address) by \($0)" } ?? ""
            return "\(appliance?.name ?? name) took it at its end there and did not let it out\(route)\(state)"
        case .machine(let name, _, _): return "\(name) got it and has not sent it on"
        case .wire(_, let network):
            guard last.isSent else { return "nobody took it at the end of the wire" }
            guard route.destination.network?.name == network, network == networkName else {
                return "\(network) has handed it to nobody"
            }
            return route.source.network?.isPrivate == true
                ? "\(network) is private: its machines reach the gateway, and not one another (network create --private)"
                : "\(network) has handed it to nobody"
        case .network(let name):
            if last.isSent { return "the gateway of \(name) has sent it, and it was seen nowhere behind" }
            if let machine = route.destination.machine {
                return
                    "\(machine.name) does not answer for \(route.destination.address) (ARP), so that it cannot be handed on"
            }
            if let network = route.destination.network, network.name != name {
                return "nobody in \(network.name) has \(route.destination.address)"
            }
            return "the gateway of \(name) has not sent it on"
        case .stretch(_, let wire):
            guard last.isSent else { return "it was seen nowhere behind" }
            return
                "the wire is impaired there: it has lost it, or has it wait for longer than an answer was waited for; swiftlet impair \(wire) shows what is so"
        case .computer(let device):
            return "it has left this computer by \(device), and nothing has come back\(unreachedMachine)"
        case .outside where visit != nil:
            return
                "it has come into the fabric, and leads to no machine there; swiftlet network repair mends what is broken"
        case .outside where isUsers:
            let reason = hindrances.isEmpty ? "nothing has come back" : hindrances.joined(separator: "; ")
            return "it has left this fabric by \(WayOutProgram.path), and is not followed further; \(reason)"
        case .outside:
            let chains = hindrances.filter { $0.contains(" ") }.map { "\"\($0)\"" }.joined(separator: ", ")
            let switches = hindrances.filter { !$0.contains(" ") }.map { "; on this computer \($0) is off" }.joined()
            let hint =
                (chains.isEmpty ? "" : "; on this computer the chain \(chains) drops what nobody accepts") + switches
            switch sightings.wayOutside {
            case .over:
                return "it has left this fabric, and was not seen leaving this computer"
                    + (hint.isEmpty ? ", whose own rules or settings keep it" : hint)
            case .none(let error)?:
                return
                    "it has left this fabric, and no route of this computer leads to \(route.destination.address) (\(error))"
            default: return "it has left this fabric, and nothing has come back" + unreachedMachine + hint
            }
        default: return "it was seen nowhere behind"
        }
    }

    /// Nothing was seen anywhere.
    private var untaken: String {
        let why = sightings.notTaken.map { " (\($0))" } ?? ""
        if visit != nil {
            return
                "it has not come into the fabric\(why): rules of this computer keep it, or those for published ports are gone (swiftlet network repair)"
        }
        guard let appliance = appliances[sightings.firstDevice] else {
            return "the wire of \(machineName) did not take it\(why); swiftlet network repair mends what is broken"
        }
        return
            "nobody reads the end of \(appliance.name) that it goes to\(why), and nothing may go around (--fail closed)"
    }

    // MARK: Rules

    private func place(of rule: PacketTrace.Rule, _ last: TraceSightings.Frame?) -> String? {
        if rule.family == "bridge", let owner = owner(of: rule, last) { return owner }
        return last.flatMap { places[$0.device]?.name } ?? places[home]?.name
    }

    /// The wire that it came out of, which a rule of a bridge meets first: who leads out of a network has a chain named after its port, and
    /// where others sent it was seen last.
    private func owner(of rule: PacketTrace.Rule, _ last: TraceSightings.Frame?) -> String? {
        let device = rule.chain.hasPrefix("q") ? "p" + rule.chain.dropFirst() : last?.device ?? ""
        guard case .wire? = places[device] else { return nil }
        return places[device]?.name
    }

    private func reason(_ loss: TraceSightings.Loss, _ last: TraceSightings.Frame?) -> String {
        let rule = loss.rule
        let comment = rule.comment ?? "no rule of \(rule.family) \(rule.table) \(rule.chain) lets it pass"
        switch (rule.family, rule.table) {
        case ("bridge", "swiftlet"):
            let owner = owner(of: rule, last).map { String($0.prefix { $0 != ":" }) } ?? machineName
            return "\(owner) may send from its own addresses alone, and is taken to send \(Self.phrased(comment))"
        case ("inet", "swiftlet-egress"):
            let target = route.destination.address
            return
                "the egress rules of \(machineName) do not let it reach \(TraceTarget.written("\(target)")); swiftlet egress ls \(machineName) shows what they allow"
        case ("inet", "swiftlet-connections"): return "\(comment); swiftlet flows \(machineName) shows them"
        case ("inet", "swiftlet") where rule.chain == "forward" && comment.contains("--reach"):
            return unreached(comment)
        case ("inet", "swiftlet") where rule.chain == "input" && comment.contains("the network's own address"):
            return "the gateway of \(networkName) answers for names, DHCP and ping alone"
        default: return comment
        }
    }

    /// As the comments of a port's rules are written, for the end of a sentence.
    private static func phrased(_ comment: String) -> String {
        comment.hasPrefix("another machine's") ? "from \(comment)" : comment
    }

    private func unreached(_ comment: String) -> String {
        guard let network = route.source.network else { return comment }
        if let other = route.destination.network {
            guard other.name != network.name else { return comment }
            return detour(other.name)
                + "\(network.name) may not open connections to \(other.name); nothing says that it reaches it (swiftlet network update --reach \(other.name) \(network.name))"
        }
        return network.reachesOutside
            ? comment
            : "\(network.name) is isolated: nothing leads out of this computer from there (network create --isolated)"
    }
}
