import FabricProtocol
import HostFiles
import Networks

/// Where appliances can be.
enum WireSite {
    /// In the wire of a machine's interface.
    case interface(MachineRecord, wire: String)
    case between([String])

    func isSame(_ other: WireSite) -> Bool {
        switch (self, other) {
        case (.interface(let one, let wire), .interface(let another, let otherWire)):
            one.id == another.id && wire == otherWire
        case (.between(let one), .between(let another)): Set(one) == Set(another)
        default: false
        }
    }

    /// For people.
    var words: String {
        switch self {
        case .interface(let record, _): "before \"\(record.name)\""
        case .between(let networks): "between \"\(networks[0])\" and \"\(networks[1])\""
        }
    }
}

/// What is in the wires of all machines and between networks, for whoever holds the lock of the networks.
struct Lines {
    let store: MachineStore
    let records: [MachineRecord]
    /// Who is only told what the fabric would be asked for: nothing is written down or changed.
    var rehearsal: LineRehearsal?

    /// From the machine to the network, or from the first network to the second.
    func entries(_ site: WireSite) throws(FleetError) -> [LineEntry] {
        switch site {
        case .interface(let record, let wire): return try store.line(of: record).wires[wire] ?? []
        case .between(let networks):
            return try store.passages().all.first { $0.joins(networks[0], networks[1]) }?.entries ?? []
        }
    }

    /// Wherever something is.
    private var sites: [(site: WireSite, entries: [LineEntry])] {
        records.flatMap { record in
            store.readableLine(of: record).wires.map { (WireSite.interface(record, wire: $0.key), $0.value) }
        } + store.readablePassages().map { (WireSite.between($0.networks), $0.entries) }
    }

    /// - Parameter id: of a machine that may be gone.
    func place(ofMachine id: String) -> (site: WireSite, entry: LineEntry)? {
        for (site, entries) in sites {
            if let entry = entries.first(where: { $0.machine == id }) { return (site, entry) }
        }
        return nil
    }

    /// Refuses what can be nowhere, and what is elsewhere.
    /// - Parameter isMoved: it may be there already.
    func check(_ newcomer: LineEntry, at site: WireSite, isMoved: Bool) throws(FleetError) {
        if case .interface(let record, _) = site, newcomer.machine == record.id {
            throw FleetError(.invalidSetting, "\"\(record.name)\" cannot be put before itself")
        }
        for shadowed in sites.flatMap(\.entries) where shadowed.shadow?.machine == newcomer.machine {
            throw FleetError(
                .invalidSetting,
                "\"\(newcomer.name)\" is being tried beside \"\(shadowed.name)\"; end that first: swiftlet remove \(newcomer.name)"
            )
        }
        let present = sites.first { $0.entries.contains { $0.machine == newcomer.machine } }?.site
        if let present, !(isMoved && present.isSame(site)) {
            throw FleetError(
                .invalidSetting,
                "\"\(newcomer.name)\" is \(present.words) already; take it out first: swiftlet remove \(newcomer.name)"
            )
        }
    }

    /// Puts an appliance behind another, as seen from the machine or the first network, or first; or moves it there.
    func insert(
        _ entry: LineEntry, at site: WireSite, behind: String?, _ policy: LinePolicy
    ) throws(FleetError) {
        var newcomer = entry
        try check(newcomer, at: site, isMoved: true)
        var entries = try self.entries(site)
        var index = behind.flatMap { behind in entries.firstIndex { $0.machine == behind } }.map { $0 + 1 } ?? 0
        if let old = entries.firstIndex(where: { $0.machine == newcomer.machine }) {
            newcomer = entries.remove(at: old)
            // Before itself it stays where it is.
            index = behind == newcomer.machine ? old : index > old ? index - 1 : index
        }
        guard newcomer.outside != nil || behind == nil else {
            guard case .interface(let record, _) = site else {
                throw FleetError(
                    .invalidSetting, "\"\(newcomer.name)\" only looks, and is in no way; put it before a machine")
            }
            throw FleetError(
                .invalidSetting,
                "\"\(newcomer.name)\" only looks, and sees what goes to and from the machine itself; put it before \"\(record.name)\""
            )
        }
        policy.apply(to: &newcomer, stations(of: newcomer))
        entries.insert(newcomer, at: index)
        try checkRouting(entries, at: site)
        guard entries.count <= FabricPort.mostInLine else {
            throw FleetError(.invalidSetting, "at most \(FabricPort.mostInLine) appliances are in one wire")
        }
        try set(entries, site)
    }

    /// The hardware addresses of an appliance's ends; nil for one that has only one.
    func stations(of entry: LineEntry) -> LineEntry.Stations? {
        let interfaces = records.first { $0.id == entry.machine }?.interfaces ?? []
        func station(_ end: UInt16) -> String? { interfaces.first { $0.portNumber == end }?.hardwareAddress }
        guard let outside = entry.outside, let one = station(entry.inside), let other = station(outside) else {
            return nil
        }
        return LineEntry.Stations(inside: one, outside: other)
    }

    /// One that routes is the next hop of what goes by, which the fabric can make it between networks alone.
    func checkRouting(_ entries: [LineEntry], at site: WireSite) throws(FleetError) {
        let routing = entries.filter { $0.routing != nil }
        guard let first = routing.first else { return }
        if case .interface(let record, _) = site {
            throw FleetError(
                .invalidSetting,
                "\"\(first.name)\" routes (--routing), and the machine and its network have each other's hardware addresses, so that what is before \"\(record.name)\" is to be a bridge; put one that routes between two networks (insert --routing … between …), or have it lead out of a network (network create --gateway)"
            )
        }
        for router in routing {
            guard let shadow = router.shadow else { continue }
            throw FleetError(
                .invalidSetting,
                "\"\(router.name)\" has another one tried beside it, which would take nothing of what is sent to one that routes; end that first: swiftlet remove \(shadow.name)"
            )
        }
    }

    /// What it takes to put one appliance into the place of another.
    func swapping(
        _ old: String, _ new: String
    ) throws(FleetError) -> (site: WireSite, entries: [LineEntry], index: Int, newcomer: LineEntry) {
        let (site, machine) = try find(old)
        let entries = try self.entries(site)
        guard let index = entries.firstIndex(where: { $0.machine == machine }) else {
            throw FleetError(
                .invalidSetting,
                "\"\(old)\" is only being tried beside another appliance; name the one that is in the way")
        }
        let newcomer = try entry(of: new)
        guard newcomer.machine != machine else {
            throw FleetError(.invalidSetting, "\"\(newcomer.name)\" cannot take its own place; name another appliance")
        }
        guard (newcomer.outside == nil) == (entries[index].outside == nil) else {
            throw FleetError(
                .invalidSetting,
                "\"\(newcomer.name)\" cannot take the place of \"\(entries[index].name)\": one is in the way of what goes by, and the other only looks"
            )
        }
        return (site, entries, index, newcomer)
    }

    /// Where monitors run; nil where nothing does.
    static func launcher(_ store: MachineStore) throws(FleetError) -> (any MonitorLauncher)? {
        do { return try Launchers.running(store.paths) } catch { throw FleetError(.unusableNetwork, "\(error)") }
    }

    /// Where an appliance is, by its name or id; it may be gone.
    func find(_ appliance: String) throws(FleetError) -> (site: WireSite, machine: String) {
        if let found = inWire(appliance) { return found }
        guard let record = try? store.find(appliance) else {
            throw FleetError(
                .unknownMachine, "no appliance \"\(appliance)\" is in a wire; `swiftlet wires` shows what is")
        }
        throw FleetError(
            .invalidSetting,
            "\"\(record.name)\" is in no wire; `swiftlet wires` shows what is (after a command was killed: swiftlet network repair; to forget a machine: swiftlet rm \(record.name))"
        )
    }

    private func inWire(_ appliance: String) -> (site: WireSite, machine: String)? {
        // A name of one that is gone may be another's by now.
        let id = (try? store.find(appliance))?.id
        for (site, entries) in sites {
            if let entry = entries.first(where: { id == nil ? $0.name == appliance : $0.machine == id }) {
                return (site, entry.machine)
            }
            let shadows = entries.compactMap(\.shadow)
            if let shadow = shadows.first(where: { id == nil ? $0.name == appliance : $0.machine == id }) {
                return (site, shadow.machine)
            }
        }
        return nil
    }

    /// Between two networks that there are, with what was said first on the inner side.
    func site(between one: String, and other: String) throws(FleetError) -> WireSite {
        guard one != other else {
            throw FleetError(.invalidSetting, "nothing is between \"\(one)\" and itself; name two networks")
        }
        let networks: [NetworkRecord]
        do throws(NetworkError) {
            networks = [try store.networks.find(one), try store.networks.find(other)]
            try networks[0].checkMeeting(networks[1])
        } catch {
            throw FleetError(error)
        }
        if let led = networks.first(where: { !$0.isRouted }) {
            throw FleetError(
                .invalidSetting,
                "a machine leads out of \"\(led.name)\" (network create --gateway), and what leaves it is that one's; put the appliance before that machine"
            )
        }
        return .between([one, other])
    }

    /// What a target means: an interface of a machine, and the appliance that stays nearer to it, if any.
    func site(_ target: String) throws(FleetError) -> (site: WireSite, behind: String?) {
        if !target.contains(":"), let found = inWire(target) { return (found.site, found.machine) }
        let (record, interface) = try interface(target)
        return (.interface(record, wire: interface.wire ?? ""), nil)
    }

    /// An interface of a machine that is in a network: its only one, or `MACHINE:INTERFACE`.
    func interface(
        _ target: String
    ) throws(FleetError) -> (record: MachineRecord, interface: AssignedInterface) {
        let halves = target.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let record = try machine(halves[0])
        let interfaces = store.wiredInterfaces(of: record)
        let names = interfaces.map { "\(record.name):\($0.guestName)" }.joined(separator: ", ")
        guard !interfaces.isEmpty else {
            throw FleetError(
                .invalidSetting,
                "\"\(record.name)\" is in no network that has wires; make it with --network NAME (swiftlet network create NAME)"
            )
        }
        if halves.count == 2 {
            guard let interface = interfaces.first(where: { $0.guestName == halves[1] || $0.place == halves[1] }) else {
                throw FleetError(.invalidSetting, "\"\(target)\" is no interface in a network; there is \(names)")
            }
            return (record, interface)
        }
        guard interfaces.count == 1 else {
            throw FleetError(.invalidSetting, "\"\(record.name)\" has several interfaces; say which: \(names)")
        }
        return (record, interfaces[0])
    }

    /// A machine, where a network may be meant by mistake.
    private func machine(_ name: String) throws(FleetError) -> MachineRecord {
        do throws(FleetError) { return try store.find(name) } catch {
            guard error.code == .unknownMachine, (try? store.networks.find(name)) != nil else { throw error }
            throw FleetError(
                .unknownMachine,
                "\"\(name)\" is a network and no machine; name one of its machines, or two networks: between \(name) and NETWORK"
            )
        }
    }

    /// An appliance that runs, as it comes into a wire.
    func entry(of appliance: String) throws(FleetError) -> LineEntry {
        let record = try store.findRunning(appliance)
        let ends = record.interfaces.filter { $0.interface.network == .wire }
        let numbers = ends.compactMap(\.portNumber)
        guard (1...2).contains(numbers.count) else {
            throw FleetError(
                .invalidSetting,
                "\"\(record.name)\" has \(numbers.count) ends for wires; an appliance is made with --network wire twice (from the machine, to the network), or once to get copies only"
            )
        }
        // Whoever names them says which is which.
        let isTurned = ends.count == 2 && (ends[0].guestName == "outside" || ends[1].guestName == "inside")
        return LineEntry(
            machine: record.id, name: record.name, inside: numbers[isTurned ? 1 : 0],
            outside: numbers.count == 2 ? numbers[isTurned ? 0 : 1] : nil, failsOpen: true,
            isBypassed: false,
            patienceMilliseconds: InlineAppliance.usualPatienceMilliseconds)
    }

    /// Writes down what is to be in a wire, and has it so if the machine runs, also when it was written down before: a
    /// command that was killed has perhaps done no more.
    func set(_ entries: [LineEntry], _ site: WireSite) throws(FleetError) {
        switch site {
        case .interface(let record, let wire): try set(entries, record, wire)
        case .between(let networks): try set(entries, between: networks)
        }
    }

    private func set(_ entries: [LineEntry], between networks: [String]) throws(FleetError) {
        try change(between: networks) { $0.entries = entries }
    }

    /// Changes what becomes of frames between two networks.
    func impair(
        between networks: [String], _ change: (inout WireImpairment, Passage) throws(FleetError) -> Void
    ) throws(FleetError) {
        try self.change(between: networks) { passage throws(FleetError) in
            var impairment = passage.impairment ?? WireImpairment()
            try change(&impairment, passage)
            passage.impairment = impairment.isPlain ? nil : impairment
        }
    }

    private func change(
        between networks: [String], _ change: (inout Passage) throws(FleetError) -> Void
    ) throws(FleetError) {
        let before = try store.passages()
        var passages = before
        let place = try passages.place(networks)
        let old = passages.all[place]
        try change(&passages.all[place])
        let passage = passages.all[place]
        if old.isPlain, passage.isPlain { return }
        if let rehearsal {
            if let fabric = try fabric() { rehearsal.change = try fabric.change(passage, removedPorts: []) }
            return
        }
        passages.all.removeAll(where: \.isPlain)
        if passages != before { try store.write(passages) }
        LineStops.reach(.written)
        do throws(FleetError) {
            guard let fabric = try fabric() else { return }
            let gone = old.entries.filter { old in !passage.entries.contains(old) }
            try fabric.plug(
                passage, removedPorts: fabric.unusedEnds(gone, besides: passage.entries), isFirst: old.isPlain)
            LineStops.reach(.answered)
        } catch {
            guard passages != before else { throw error }
            do throws(FleetError) { try store.write(before) } catch let loss { throw Self.both(error, loss) }
            throw error
        }
    }

    /// It did not work, and could not be put back.
    private static func both(_ error: FleetError, _ loss: FleetError) -> FleetError {
        FleetError(
            error.code,
            "\(error.message); what was in the wire before could not be written down again either: \(loss.message)")
    }

    private func set(_ entries: [LineEntry], _ record: MachineRecord, _ wire: String) throws(FleetError) {
        try change(record) { line in line.wires[wire] = entries.isEmpty ? nil : entries }
    }

    /// Changes what becomes of frames in the wire of a machine's interface.
    /// - Parameter change: from what is to what is to be.
    func impair(
        _ record: MachineRecord, _ wire: String, _ change: (inout WireImpairment) throws(FleetError) -> Void
    ) throws(FleetError) {
        try self.change(record) { line throws(FleetError) in
            var impairment = line.impairments?[wire] ?? WireImpairment()
            try change(&impairment)
            var all = line.impairments ?? [:]
            all[wire] = impairment.isPlain ? nil : impairment
            line.impairments = all.isEmpty ? nil : all
        }
    }

    private func change(
        _ record: MachineRecord, _ change: (inout MachineLine) throws(FleetError) -> Void
    ) throws(FleetError) {
        let before = try store.line(of: record)
        var line = before
        try change(&line)
        if let rehearsal {
            if let fabric = try fabric(), let current = try running(record) {
                rehearsal.change = try fabric.change(current, line, removedPorts: [])
            }
            return
        }
        let folder = store.folder(record.id)
        // First: whoever mends what a killed command has left finds what was wanted.
        if line != before { try line.write(to: folder) }
        LineStops.reach(.written)
        do throws(FleetError) {
            // As it is now: one that begins after this reads what was written.
            guard let fabric = try fabric(), let current = try running(record) else { return }
            // As it was before, when it is still needed.
            let gone = before.entries.filter { old in !line.entries.contains(old) }
            try fabric.plug(current, line, removedPorts: fabric.unusedEnds(gone, besides: line.entries))
            LineStops.reach(.answered)
        } catch {
            guard line != before else { throw error }
            do throws(FleetError) { try before.write(to: folder) } catch let loss { throw Self.both(error, loss) }
            throw error
        }
    }

    private func fabric() throws(FleetError) -> FabricControl? {
        try Self.launcher(store).map { FabricControl(launcher: $0, store: store) }
    }

    /// Nil for one that is plugged in nowhere, and is when it begins.
    private func running(_ record: MachineRecord) throws(FleetError) -> MachineRecord? {
        let current = try store.find(record.id)
        return current.state.isOver || current.state == .restarting ? nil : current
    }
}
