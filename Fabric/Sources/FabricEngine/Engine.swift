public import AgentProtocol
public import FabricProtocol
import FabricRules
import LinuxCalls
import Wiring

/// Keeps one fabric as it is to be: makes what is missing of links, wires, rules and names, and takes away what is too much.
///
/// Everything lies in the network namespace of the calling thread, to which it belongs. What it made goes on without it:
/// the kernel carries all traffic.
public final class Engine {
    let folder: EngineFolder
    var links: Links
    var wires: Wires
    var nameServers = NameServers()
    /// Those of machines that may not reach everything.
    var strictNameServers = NameServers(endSignal: SignalNumber.kill)
    /// Those of machines that find the names of several networks, by their ports.
    var viewServers = NameServers(endSignal: SignalNumber.kill)
    var nameViews = NameViews()
    private(set) var plan = FabricPlan()
    /// Nil where there is no way out.
    var publisher: (any PortPublisher)?
    private let record: PlanRecord
    let ruleSession: RuleSession
    /// Whether rules are what this engine has made them. Those that one before has left may be anything, or gone.
    private var hasSetRules = false
    /// Nil where nothing leads out.
    public var wayOut: (any Outlet)?
    /// The numbers of networks of which somebody's name or address is no more, and who gives them has not been told yet.
    var changedNames: Set<UInt16> = []
    var formerStations = FormerStations()
    /// What is to be said once more of ports that have such addresses.
    var announcements: [(dueNanoseconds: UInt64, port: FabricPort, addresses: [IPAddress])] = []
    /// The ends of appliances in line that nobody reads any more.
    var deadEnds: Set<UInt16> = []
    var probes: Probes
    /// Of what is announced. Kept, for the kernel waits for all processors when it closes such a socket.
    let frames: FrameSender
    /// When probes were last looked after; nil: none is probed.
    var lastRoundNanoseconds: UInt64?
    /// The inner ends of the appliances through which the wires of ports lead.
    var joined: [UInt16: [UInt16]] = [:]
    /// What is between networks, by its port.
    var passages: [UInt16: Passage] = [:]
    /// The ends of appliances that route, by their ports.
    var routerEnds: [UInt16: RouterEnd] = [:]
    /// Those that are told once more who is behind them.
    var turnedEnds: [TurnedEnd] = []
    /// The wires between networks into which there goes what the networks may reach, and not what appliances decide about.
    var plainPassages: Set<UInt16> = []
    /// The rules of either kind for those, by their ports.
    var entrances: [UInt16: (plain: String, open: String)] = [:]
    /// The stretches of wires that are impaired, by their ports.
    var stretches: [UInt16: Stretch] = [:]
    /// This one's own path: of what the processes of stretches run.
    public var program: ByteString = "/proc/self/exe"
    /// Ends that are in no wire any more, with what is still under way in their appliances, and until when.
    var draining: [(end: UInt16, untilNanoseconds: UInt64)] = []
    /// What changes that are yet to be asked for would put into wires.
    var candidacies: [Candidacy] = []
    /// When which half of the sets of addresses of domains is emptied.
    var nextEmptying: (nanoseconds: UInt64, half: String)?
    /// Nil where the kernel has none.
    let packetLog: PacketLog?
    let refusedNames: RefusedNames
    let stops: EngineStops?

    public init(_ folder: EngineFolder) throws(FabricFault) {
        self.folder = folder
        stops = EngineStops(folder)
        record = PlanRecord(folder.plan)
        do throws(LinuxError) {
            links = try Links()
            wires = try Wires()
            probes = try Probes()
            frames = try FrameSender()
            refusedNames = try RefusedNames()
            ruleSession = try RuleSession()
            packetLog = try? PacketLog(group: EgressRules.logGroup, mostBytes: Self.loggedBytes)
            if let loopback = try links.find("lo") { try links.set(loopback.index, isUp: true) }
            // What goes from port to port of a bridge is not routed, whatever else this computer's kernel is used for.
            for (name, value) in [
                ("ipv4/ip_forward", "1"), ("ipv6/conf/all/forwarding", "1"), ("bridge/bridge-nf-call-iptables", "0"),
                ("bridge/bridge-nf-call-ip6tables", "0"), ("bridge/bridge-nf-call-arptables", "0"),
                // Nobody is told in one network what the fabric is called in another.
                ("ipv4/conf/all/arp_ignore", "1"),
                // A link has addresses and routes of IPv6 where that is said of it, and is not told to others.
                ("ipv6/conf/default/disable_ipv6", "1"),
            ] {
                guard let file = try? open("/proc/sys/net/" + name, .writeOnly) else { continue }
                try writeAll(file.number, value)
            }
        } catch {
            throw FabricFault("the network cannot be changed: \(error)")
        }
    }

    /// Does what was asked for. What fails is put back, as far as that goes.
    public func apply(_ wanted: FabricChange) throws(FabricFault) {
        let before = plan
        let change = before.completing(wanted)
        let next = try plan.after(change)
        try publisher?.hold(next, besides: before)
        do throws(FabricFault) {
            if change.isWhole { try wayOut?.repair(inside: &links, publishing: before.ports) }
            try carryOut(next, change, isRepair: change.isWhole)
            try record.note(change, leadingTo: next)
            stops?.reach(.written)
        } catch {
            // What was there before is what a repair would make.
            plan = next
            try? carryOut(before, change, isRepair: false, isStrict: false)
            plan = before
            publisher?.letGo(plan)
            throw error
        }
        publisher?.letGo(plan)
    }

    /// Takes up what an engine before was told, and mends what is not so. Machines run on it: what cannot be mended is told and
    /// left as it is.
    /// - Throws: when nothing could ever get out.
    public func resume() throws(FabricFault) {
        let before: FabricPlan
        do throws(FabricFault) { before = try record.read() } catch {
            EngineLog.write("what was there before: \(error)")
            try wayOut?.repair(inside: &links, publishing: [])
            return
        }
        try wayOut?.repair(inside: &links, publishing: before.ports)
        plan = before
        do throws(FabricFault) {
            try publisher?.hold(before, besides: before)
            try carryOut(before, before.asChange, isRepair: true)
        } catch {
            EngineLog.write("what was there before: \(error)")
        }
    }

    /// In four steps, so that no machine is ever without its rules: links, rules, wires, and what is no longer wanted.
    /// - Parameter isStrict: whether appliances that are put into the wires of machines must be ready.
    private func carryOut(
        _ next: FabricPlan, _ change: FabricChange, isRepair: Bool, isStrict: Bool = true
    ) throws(FabricFault) {
        // By the rules that they met.
        takeLoggedPackets()
        takeRefusedNames()
        let before = plan
        let difference = PlanDifference(from: before, to: next, change, makesAll: isRepair)
        for port in difference.gonePorts { try steer(port.number, isOn: false) }
        try remove(difference.gonePorts)
        defer { wiresAreSwitched() }
        for port in difference.gonePorts {
            formerStations.note(port)
            drain(port, besides: nil)
            joined[port.number] = nil
            passages[port.number] = nil
            plainPassages.remove(port.number)
            entrances[port.number] = nil
            removeStretch(of: port)
        }
        for network in difference.networks { try make(network, in: next) }
        for port in difference.ports { try make(port, in: next) }
        let ways = try serveViews(next, difference, from: before, isRepair: isRepair)
        try setRules(next, difference, from: before, leading: ways, isRepair: isRepair)
        try publish(next, from: before, isRepair: isRepair)
        // In this order: what leaves one wire may come into another.
        for port in difference.ports {
            guard let old = before.port(port.number) else { continue }
            if old.hardwareAddress != port.hardwareAddress || old.addresses != port.addresses {
                formerStations.note(old)
            }
            drain(old, besides: port)
        }
        for port in difference.ports where port.network != nil {
            let old = before.port(port.number)
            let isStrict = isStrict && old != nil && !isRepair
            try connect(port, newcomers: newcomers(of: port, besides: old), isStrict: isStrict)
            if isStrict { try checkRead(lookers(of: port, besides: old), of: port) }
        }
        for port in difference.ports {
            announce(port)
            try setNames(of: port, in: next)
        }
        for network in difference.networks { try setReachedNames(in: network, of: next) }
        try serveEgressNames(next, difference)
        endUnusedViews(isRepair: isRepair)
        for network in difference.goneNetworks { remove(network) }
        if isRepair {
            try closeUnused(next)
            try removeStrangers(next)
        }
        reloadNames()
        plan = next
    }

    /// The appliances of the port of which nobody knows yet that they carry anything.
    func newcomers(of port: FabricPort, besides old: FabricPort?) -> [InlineAppliance] {
        port.line.filter { appliance in
            if appliance.isBypassed { return false }
            guard let before = old?.line.first(where: { $0.inside == appliance.inside && !$0.isBypassed }) else {
                return true
            }
            return before.patienceMilliseconds == nil && appliance.patienceMilliseconds != nil
                || before.routing != appliance.routing
        }
    }

    /// The ends of those who get copies in the port's wire that were not there before.
    func lookers(of port: FabricPort, besides old: FabricPort?) -> [UInt16] {
        let known = (old?.mirrors ?? []) + (old?.line.flatMap { $0.ends } ?? [])
        let shadows = port.line.filter { !$0.isBypassed }.flatMap { $0.ends.dropFirst(2) }
        return (port.mirrors + shadows).filter { !known.contains($0) }
    }

    /// One transaction in the fabric's own network: all of the text, or nothing.
    func setRules(_ text: String) throws(FabricFault) { if !ruleSession.set(text) { try Rules.set(text) } }

    /// Nil for who is in no network.
    private static func rules(of port: FabricPort, _ plan: FabricPlan) -> String? {
        guard port.isMachine else { return nil }
        return port.network.flatMap(plan.network).map { PortRules.text(of: port, in: $0) }
    }

    private static func removal(of port: FabricPort, _ plan: FabricPlan) -> String? {
        guard port.isMachine else { return nil }
        return port.network.flatMap(plan.network).map { PortRules.removal(of: port, in: $0) }
    }

    /// One transaction of nftables: of what is other than before; of all, until that was done once. What could not be done when this engine
    /// began is so done with the next change, or nothing is changed.
    private func setRules(
        _ plan: FabricPlan, _ difference: PlanDifference, from before: FabricPlan,
        leading ways: [UInt16: NameRules.Way], isRepair: Bool
    ) throws(FabricFault) {
        let isRepair = isRepair || !hasSetRules
        let ledBefore = nameViews.ways
        let difference =
            hasSetRules ? difference : PlanDifference(from: before, to: plan, plan.asChange, makesAll: true)
        var text = ""
        var isTracking = false
        if isRepair { text += PortRules.reset + PortRules.frame }
        let passages = plan.ports.filter { $0.joined != nil }
        var plain = plainPassages
        let isJoinedOtherwise =
            difference.gonePorts.contains { $0.joined != nil }
            || passages.contains { before.port($0.number) == nil }
        if isRepair || isJoinedOtherwise || !difference.networks.isEmpty || !difference.goneNetworks.isEmpty {
            plain = Set(passages.filter(isPlain).map { $0.number })
            text +=
                RoutingRules.text(of: plan.networks, joinedBy: passages, plain: plain) + ConnectionRules.text()
            isTracking = true
        }
        if !isRepair {
            for port in difference.gonePorts { text += Self.removal(of: port, before) ?? "" }
        }
        for port in difference.ports {
            guard let rules = Self.rules(of: port, plan) else { continue }
            let old = isRepair ? nil : before.port(port.number)
            // What is in its wire changes none.
            if old.flatMap({ Self.rules(of: $0, before) }) == rules { continue }
            text += (old.flatMap { Self.removal(of: $0, before) } ?? "") + rules
        }
        text += egressRules(plan, difference, from: before, isRepair: isRepair)
        text += try nameRules(ways, isRepair: isRepair)
        defer { if nameViews.ways != ledBefore { forgetQuestions(ledBefore, plan, before) } }
        if text.isEmpty { return }
        do throws(FabricFault) { try setRules(text) } catch {
            throw FabricFault("the rules cannot be set: \(error)")
        }
        nameViews.ways = ways
        hasSetRules = true
        plainPassages = plain
        // These rules have the kernel begin to remember connections: how much goes over each and since when, it only
        // remembers of those that begin from now on.
        for name in isTracking ? ["acct", "timestamp"] : [] {
            if let file = try? open("/proc/sys/net/netfilter/nf_conntrack_" + name, .writeOnly) {
                try? writeAll(file.number, "1")
            }
        }
    }
}
