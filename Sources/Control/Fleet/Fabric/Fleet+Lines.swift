import FabricProtocol
import HostFiles
import LinuxCalls
import Networks
import WireFormats

/// How an appliance is put into a wire. What is not said stays as it is, and is at first: it fails open, after 150 ms.
public struct LinePolicy: Sendable {
    public enum Patience: Sendable, Equatable {
        /// It is not probed.
        case none
        case milliseconds(UInt32)
    }

    /// Whether traffic goes around it when it fails; otherwise it stops.
    public var failsOpen: Bool?
    /// After how long without a probe that came through it is said to fail.
    public var patience: Patience?
    /// Whether it routes, and does not leave hardware addresses as they are.
    public var isRouting = false

    public init() {}

    /// - Parameter stations: the hardware addresses of its ends.
    func apply(to entry: inout LineEntry, _ stations: LineEntry.Stations? = nil) {
        if isRouting { entry.routing = stations }
        if let failsOpen { entry.failsOpen = failsOpen }
        switch patience {
        case nil: break
        case .some(.none): entry.patienceMilliseconds = nil
        case .milliseconds(let count): entry.patienceMilliseconds = count
        }
    }
}

extension MachineFleet {
    /// Puts an appliance into a wire, or elsewhere in the wire that it is in.
    /// - Parameters:
    ///   - appliance: a machine that runs, with one end for wires, which gets copies, or two.
    ///   - target: a machine, `MACHINE:INTERFACE`, or an appliance that is in a wire: it comes before it, as seen from the network.
    ///   - patience: for how long it is waited for when it is not ready.
    /// - Throws: leaving everything as it was.
    public func insert(
        _ appliance: String, before target: String, _ policy: LinePolicy, _ patience: ReadinessPatience
    ) throws(FleetError) {
        try withReadyLines(patience) { lines throws(FleetError) in
            let newcomer = try lines.entry(of: appliance)
            let (site, behind) = try lines.site(target)
            try lines.insert(newcomer, at: site, behind: behind, policy)
        }
    }

    /// Puts an appliance between two networks: what goes from one to the other goes through it, its inner end towards the first. Where
    /// others are between them, it comes next to the second network.
    public func insert(
        _ appliance: String, between one: String, and other: String, _ policy: LinePolicy,
        _ patience: ReadinessPatience
    ) throws(FleetError) {
        try withReadyLines(patience) { lines throws(FleetError) in
            let newcomer = try lines.entry(of: appliance)
            let site = try lines.site(between: one, and: other)
            guard newcomer.outside != nil else {
                throw FleetError(
                    .invalidSetting,
                    "\"\(newcomer.name)\" only looks, with one end for wires; put it before a machine, or make one with --network wire twice"
                )
            }
            let last = try lines.entries(site).last { $0.machine != newcomer.machine }?.machine
            try lines.insert(newcomer, at: site, behind: last, policy)
        }
    }

    /// Takes appliances out of the wire that they are in; what is under way in them arrives.
    public func takeOut(_ appliance: String) throws(FleetError) {
        try withLines { lines throws(FleetError) in
            let (site, machine) = try lines.find(appliance)
            var entries = try lines.entries(site).filter { $0.machine != machine }
            for place in entries.indices where entries[place].shadow?.machine == machine { entries[place].shadow = nil }
            try lines.set(entries, site)
        }
    }

    /// For people: where an appliance that is gone still has its place, and what becomes of traffic there; nil: nowhere.
    public func placeHeld(by record: MachineRecord) -> String? {
        let lines = Lines(store: store, records: store.list())
        guard let (site, entry) = lines.place(ofMachine: record.id), entry.outside != nil else { return nil }
        let fate = entry.isBypassed || entry.failsOpen ? "traffic goes around it" : "nothing goes through there"
        return
            "\(record.name) keeps its place \(site.words), and \(fate); to take it out: swiftlet remove \(record.name)"
    }

    /// Leads traffic around an appliance; or through it again, when it is ready.
    public func bypass(_ appliance: String, _ isBypassed: Bool, _ patience: ReadinessPatience) throws(FleetError) {
        let change = { (lines: Lines) throws(FleetError) in
            let (site, machine) = try lines.find(appliance)
            var entries = try lines.entries(site)
            if let tried = entries.first(where: { $0.shadow?.machine == machine }) {
                throw FleetError(
                    .invalidSetting, "\"\(appliance)\" is being tried beside \"\(tried.name)\", and is in no way itself"
                )
            }
            for index in entries.indices where entries[index].machine == machine {
                guard entries[index].outside != nil else {
                    throw FleetError(
                        .invalidSetting, "\"\(appliance)\" only looks at what goes by; there is no way around it")
                }
                entries[index].isBypassed = isBypassed
            }
            try lines.set(entries, site)
        }
        if isBypassed { try withLines(change) } else { try withReadyLines(patience, change) }
    }

    /// Puts an appliance into the place of another, in one step.
    public func swap(_ old: String, for new: String, _ patience: ReadinessPatience) throws(FleetError) {
        // What it still has of copies is not to come out of it as well.
        if let entry = try shadowed(old, by: new) { try endShadow(entry) }
        try withReadyLines(patience) { lines throws(FleetError) in
            var (site, entries, index, newcomer) = try lines.swapping(old, new)
            try lines.check(newcomer, at: site, isMoved: false)
            newcomer.failsOpen = entries[index].failsOpen
            newcomer.patienceMilliseconds = entries[index].patienceMilliseconds
            newcomer.isBypassed = entries[index].isBypassed
            if entries[index].routing != nil { newcomer.routing = lines.stations(of: newcomer) }
            entries[index] = newcomer
            try lines.set(entries, site)
        }
    }

    /// That one is in a wire and the other could take its place, as far as that is written down.
    public func checkSwap(_ old: String, for new: String) throws(FleetError) { _ = try shadowed(old, by: new) }

    /// The one that the other is tried beside; nil: it is not.
    private func shadowed(_ old: String, by new: String) throws(FleetError) -> LineEntry? {
        var shadowed: LineEntry?
        try withLines { lines throws(FleetError) in
            let (_, entries, index, newcomer) = try lines.swapping(old, new)
            if entries[index].shadow?.machine == newcomer.machine { shadowed = entries[index] }
        }
        return shadowed
    }

    /// How long what is under way in a shadow may take.
    private static let shadowDrainingNanoseconds: UInt64 = 200_000_000

    /// Has an appliance get a copy of all that another one gets for a time, and compares what they let through. What it lets through
    /// itself goes nowhere. Who is killed meanwhile leaves it so; taking it out ends it.
    public func shadow(
        _ old: String, by new: String, seconds: Double, _ patience: ReadinessPatience
    ) throws(FleetError) -> ShadowReport {
        let (launcher, entry) = try beginShadow(old, new, patience)
        let milliseconds = UInt64(max(0, seconds) * 1000)
        do throws(FleetError) {
            let report = try FabricControl(launcher: launcher, store: store).compare(
                entry, milliseconds: milliseconds, signals: patience.signals)
            try endShadow(entry)
            return report
        } catch {
            try? endShadow(entry)
            throw error
        }
    }

    private func beginShadow(
        _ old: String, _ new: String, _ patience: ReadinessPatience
    ) throws(FleetError) -> (launcher: any MonitorLauncher, entry: LineEntry) {
        var begun: (launcher: any MonitorLauncher, entry: LineEntry)?
        try withReadyLines(patience) { lines throws(FleetError) in
            var (site, entries, index, newcomer) = try lines.swapping(old, new)
            if entries[index].shadow?.machine != newcomer.machine {
                try lines.check(newcomer, at: site, isMoved: false)
            }
            guard entries[index].routing == nil else {
                throw FleetError(
                    .invalidSetting,
                    "\"\(entries[index].name)\" routes: what it gets is sent to its own hardware addresses, and \"\(newcomer.name)\" would take none of it; swap without --shadow"
                )
            }
            if let other = entries[index].shadow, other.machine != newcomer.machine {
                throw FleetError(
                    .invalidSetting,
                    "\"\(other.name)\" is being tried beside \"\(entries[index].name)\" already; end that first: swiftlet remove \(other.name)"
                )
            }
            guard let outside = newcomer.outside, !entries[index].isBypassed else {
                throw FleetError(
                    .invalidSetting,
                    "nothing goes through \"\(entries[index].name)\", so there is nothing to compare; swap without --shadow"
                )
            }
            guard let launcher = try Lines.launcher(store) else {
                throw FleetError(.notRunning, "nothing runs whose traffic could be compared; swap without --shadow")
            }
            entries[index].shadow = LineEntry.Shadow(
                machine: newcomer.machine, name: newcomer.name, inside: newcomer.inside, outside: outside)
            try lines.set(entries, site)
            begun = (launcher, entries[index])
        }
        guard let begun else { throw FleetError(.invalidSetting, "\"\(old)\" is in no wire") }
        return begun
    }

    /// Where it is still so.
    private func endShadow(_ entry: LineEntry) throws(FleetError) {
        try withLines { lines throws(FleetError) in
            guard let (site, machine) = try? lines.find(entry.machine), machine == entry.machine else { return }
            var entries = try lines.entries(site)
            guard let index = entries.firstIndex(where: { $0.shadow == entry.shadow && $0.machine == machine }) else {
                return
            }
            entries[index].shadow = nil
            try lines.set(entries, site)
        }
        sleep(nanoseconds: Self.shadowDrainingNanoseconds)
    }

    /// One change of what is in wires after the other.
    func withLines(_ body: (Lines) throws(FleetError) -> Void) throws(FleetError) {
        try store.withNetworkLock { () throws(FleetError) in
            LineStops.reach(.locked)
            try body(Lines(store: store, records: store.list()))
        }
    }
}
