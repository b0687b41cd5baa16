import ArgumentParser
import FabricProtocol
import Fleet

struct InsertCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "insert",
        abstract: "Put an appliance in front of a machine, or between two networks, while they run.",
        discussion: """
            Everything that goes to and from the machine's interface goes through the appliance from then on; the machine
            keeps its addresses and connections, and no packet is lost. The appliance has two interfaces for it, made with
            --network wire twice: the first towards the machine, the second towards the network, unless they are named
            inside and outside; it carries what comes in at one out at the other. One with a single --network wire gets a
            copy of everything. It is waited for until it is ready; when it is not in time, nothing is changed.

            Before an appliance that is in the wire already, it comes on the network's side of that one; one that
            is in the wire itself is moved.

            Between two networks everything that goes from machines of one to machines of the other goes through it, its first
            interface towards the first network, and it alone says what may pass. Without it, or when traffic goes around it, they
            reach each other as network create --reach says.

            There it may be a router (--routing), with routes to the networks' subnets: to the first one's by
            \(RouterHops.gateways.inside) at its inside, to the second one's by \(RouterHops.gateways.outside) at its outside, of IPv6 by
            fe80::1; its own addresses there are \(RouterHops.own.inside) and \(RouterHops.own.outside). For probes it has to let UDP pass
            to port \(RouterHops.probePort) from one network's own address to the other's, both ways.

            Examples:
              swiftlet run -d --name ips --network wire --network wire suricata
              swiftlet insert ips before web
              swiftlet insert --fail closed ips before web:eth1
              swiftlet insert firewall between office and dmz
              swiftlet insert --routing firewall between office and dmz
              swiftlet remove ips
            """)

    @Flag(help: "It is a router: between two networks, with addresses of its own.") var routing = false
    @Option(
        help: ArgumentHelp(
            "What happens when it fails: traffic goes around it (open), or stops (closed).", valueName: "open|closed"))
    var fail: FailurePolicy?
    @Option(
        help: ArgumentHelp(
            "It fails when no probe has come through it for so long; \"none\" sends no probes.", valueName: "time"))
    var patience: String?
    @OptionGroup var readiness: ReadinessOptions
    @Argument(help: "The appliance's name or id.", completion: Completions.runningMachines) var appliance: String
    @Argument(help: "The word \"before\" or \"between\".", completion: .list(["before", "between"])) var place: Place
    @Argument(
        help: "The machine, MACHINE:INTERFACE, or an appliance that is in a wire; or a network.",
        completion: Completions.runningMachines)
    var target: String
    @Argument(
        help: ArgumentHelp("The word \"and\" and the other network.", valueName: "and network"),
        completion: Completions.networkNames)
    var other: [String] = []
    @OptionGroup var format: ErrorFormatOptions

    enum Place: String, ExpressibleByArgument, CaseIterable { case before, between }
    enum FailurePolicy: String, ExpressibleByArgument, CaseIterable { case open, closed }

    /// The second network.
    private var secondNetwork: String? {
        let names = other.first == "and" ? Array(other.dropFirst()) : other
        return names.count == 1 ? names[0] : nil
    }

    func validate() throws {
        if place == .between, secondNetwork == nil {
            throw ValidationError("say which networks: swiftlet insert \(appliance) between \(target) and NETWORK")
        }
        guard place == .between || other.isEmpty else {
            let said = ([target] + other).joined(separator: " ")
            throw ValidationError("an appliance comes before one target, not before \(said)")
        }
    }

    func run() throws {
        var policy = LinePolicy()
        policy.failsOpen = fail.map { $0 == .open }
        policy.isRouting = routing
        if let patience { policy.patience = try Self.patience(patience) }
        if let secondNetwork, place == .between {
            return try Product.fleet.insert(
                appliance, between: target, and: secondNetwork, policy, try readiness.patience())
        }
        try Product.fleet.insert(appliance, before: target, policy, try readiness.patience())
    }

    private static func patience(_ text: String) throws -> LinePolicy.Patience {
        if text == "none" { return .none }
        let seconds = try Units.time(text, "--patience")
        guard let value = UInt32(exactly: (seconds * 1000).rounded()), InlineAppliance.patience.contains(value) else {
            throw CommandFailure("usage.patience", "--patience is from 20ms to 60s, or none, not \(text)")
        }
        return .milliseconds(value)
    }
}

struct TakeOutCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "Take an appliance out of the wire that it is in.",
        discussion: """
            The machine keeps its connections, and what is under way in the appliance arrives. The appliance goes on running;
            `swiftlet rm` forgets machines.

            Example:
              swiftlet remove ips
            """)
    @Argument(help: "Names or ids of appliances.", completion: Completions.inWires) var appliances: [String]
    @OptionGroup var format: FormatOptions

    func run() throws { try forEach(appliances, asJSON: format.isJSON) { try Product.fleet.takeOut($0) } }
}

struct BypassCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bypass", abstract: "Lead traffic around an appliance that is in a wire, or through it again.",
        discussion: """
            It keeps its place. Traffic is only led through it again when it is ready.

            Examples:
              swiftlet bypass on ips
              swiftlet bypass off ips
            """)
    @Argument(help: "Whether traffic goes around it.", completion: .list(["on", "off"])) var state: State
    @Argument(help: "The appliance's name or id.", completion: Completions.inWires) var appliance: String
    @OptionGroup var readiness: ReadinessOptions
    @OptionGroup var format: ErrorFormatOptions

    enum State: String, ExpressibleByArgument, CaseIterable { case on, off }

    func run() throws { try Product.fleet.bypass(appliance, state == .on, try readiness.patience()) }
}

struct WiresCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wires",
        abstract: "List the wires of machines in networks, and what is in them and between networks.",
        discussion: """
            Appliances are listed from the machine to the network, each with how it is: looking (it gets copies), bypassed,
            failing (around it, or stopping what comes), ended (the same). Behind them, next to the network, a wire may be impaired.

            Example:
              swiftlet wires
            """)
    @OptionGroup var format: FormatOptions

    func run() throws {
        let wires = Product.fleet.wires()
        if format.isJSON { return Output.json(wires.map(WireDocument.init)) }
        var table = Table("MACHINE", "APPLIANCES", "NETWORK")
        for wire in wires {
            let document = WireDocument(wire)
            var members = document.appliances.map(\.words)
            if let impairment = document.impairment {
                members.append(impairment.mark)
            }
            let ends = wire.between ?? ["\(wire.machine):\(wire.interface)", wire.network]
            table.add(ends[0], members.joined(separator: ", "), ends[1])
        }
        Output.line(table.text)
    }
}

/// A wire, for programs: names that stay.
struct WireDocument: Encodable {
    struct Appliance: Encodable {
        var name: String
        /// `inline`, `looking`, `bypassed`, `around` (it fails, and traffic goes around it), `stopping` (it fails, and
        /// nothing goes through), `ended`, `missing` (it is not there as it should be, for a command was killed), `stray`
        /// (it is there and should not be; `network repair` mends both), `unknown` (nobody knows).
        var state: String
        /// Nil for a stray.
        var failsOpen: Bool?
        var patienceMilliseconds: UInt32?
        /// One that gets a copy of what it gets, and lets nothing through.
        var shadow: String?
        /// Whether it routes, and does not leave hardware addresses as they are. Nil for a stray.
        var isRouting: Bool?
        /// `through` it, `around` it, or `stopping`; nil where nobody knows, or it only looks.
        var traffic: String?

        /// For a terminal.
        var words: String {
            var notes = isRouting == true ? ["routing"] : []
            if state != "inline" { notes.append(state) }
            if state == "ended", let traffic { notes.append(traffic) }
            if let shadow { notes.append("\(shadow) is tried beside it") }
            return notes.isEmpty ? name : "\(name) (\(notes.joined(separator: ", ")))"
        }
    }

    /// What becomes of packets next to the network.
    struct Impaired: Encodable {
        var toMachine: WireImpairment.Way
        var toNetwork: WireImpairment.Way
        /// Nil where the machine does not run, or nobody knows.
        var isInLine: Bool?

        var mark: String { isInLine == false ? "(impaired)" : "impaired" }
    }

    /// Nil where it is between networks.
    var machine: String?
    var interface: String?
    var network: String?
    /// The two networks; nil where it is a machine's.
    var between: [String]?
    /// From the machine to the network, or from the first network to the second.
    var appliances: [Appliance]
    /// Nil where nothing becomes of them.
    var impairment: Impaired?

    init(_ wire: WireState) {
        impairment = wire.impairment.map {
            Impaired(toMachine: $0.toMachine, toNetwork: $0.toNetwork, isInLine: wire.stretch?.isInLine)
        }
        between = wire.between
        if between == nil { (machine, interface, network) = (wire.machine, wire.interface, wire.network) }
        appliances = wire.members.map { member in
            Appliance(
                name: member.entry.name, state: Self.state(member, machineRuns: wire.isRunning),
                failsOpen: member.entry.failsOpen,
                patienceMilliseconds: member.entry.patienceMilliseconds, shadow: member.entry.shadow?.name,
                isRouting: member.entry.routing != nil, traffic: Self.traffic(member))
        }
        appliances += wire.strangers.map { Appliance(name: $0, state: "stray") }
    }

    private static func traffic(_ member: WireState.Member) -> String? {
        guard member.entry.outside != nil, let isInLine = member.isInLine, let isFailing = member.isFailing else {
            return nil
        }
        return isInLine ? isFailing ? "stopping" : "through" : "around"
    }

    private static func state(_ member: WireState.Member, machineRuns: Bool) -> String {
        if member.isMissing { return "missing" }
        if !member.isRunning { return "ended" }
        if member.entry.outside == nil { return "looking" }
        if member.entry.isBypassed { return "bypassed" }
        guard let isFailing = member.isFailing, let isInLine = member.isInLine else {
            return machineRuns ? "unknown" : "inline"
        }
        if !isInLine { return "around" }
        return isFailing ? "stopping" : "inline"
    }
}
