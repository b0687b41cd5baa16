import AgentClient
import AgentProtocol
public import FabricProtocol
import LinuxCalls
import WireFormats

/// The wire of one interface of a machine in a network, and what is in it.
public struct WireState: Sendable {
    /// The two networks that it is between; nil: it is a machine's.
    public var between: [String]?
    public struct Member: Sendable {
        public var entry: LineEntry
        /// Whether its machine runs.
        public var isRunning: Bool
        /// Whether the fabric does not have it, or has it elsewhere or otherwise, because a command was killed.
        public var isMissing: Bool
        /// Whether nobody reads its ends, or it lets no probes through; nil: nobody knows.
        public var isFailing: Bool?
        /// Whether traffic goes through it now; nil: nobody knows.
        public var isInLine: Bool?
    }

    /// In bytes a second.
    public struct Traffic: Sendable {
        /// What the machine sends.
        public var out: UInt64
        /// What is sent to it.
        public var `in`: UInt64
    }

    public var machine: String
    public var isRunning: Bool
    /// As programs in the guest call it.
    public var interface: String
    public var addresses: [String]
    public var network: String
    /// From the machine to the network.
    public var members: [Member]
    /// What is in it and is not written down, because a command was killed.
    public var strangers: [String]
    /// What becomes of frames next to the network, as it is written down.
    public var impairment: WireImpairment?
    /// What has become of them; nil: it is not so, or nobody knows.
    public var stretch: StretchState?
    /// Nil where it was not measured.
    public var traffic: Traffic?
    /// The computer's ports that lead to the machine by this interface.
    public var published: [PublishedPort] = []
}

extension MachineFleet {
    /// The wires of all machines that are in networks.
    /// - Parameter seconds: for how long traffic is counted; 0: not at all.
    public func wires(measuringFor seconds: Double = 0) -> [WireState] {
        let records = store.list()
        let hasAny = records.contains { !$0.state.isOver && !store.wiredInterfaces(of: $0).isEmpty }
        let launcher = hasAny ? (try? Launchers.running(store.paths)) ?? nil : nil
        let fabric = launcher.map { FabricControl(launcher: $0, store: store) }
        let before = seconds > 0 ? fabric?.report().map(FabricReport.init) : nil
        let begin = Clock.monotonic.nanoseconds()
        if before != nil { sleep(nanoseconds: UInt64(seconds * 1e9)) }
        let report = fabric?.report().map(FabricReport.init)
        let elapsed = Double(Clock.monotonic.nanoseconds() - begin) / 1e9
        let passages = store.readablePassages().map { passage in
            let isPlugged = passage.isNeeded(by: records.filter { !$0.state.isOver }, in: store)
            let told = isPlugged ? report.map { $0.lines[passage.number] ?? FabricReport.Line() } : nil
            return WireState(
                between: passage.networks, machine: "", isRunning: isPlugged, interface: "", addresses: [], network: "",
                members: Self.members(passage.entries, told, records), strangers: [], impairment: passage.impairment,
                stretch: isPlugged ? report?.stretches[passage.number] : nil, traffic: nil)
        }
        return records.flatMap { record -> [WireState] in
            let line = store.readableLine(of: record)
            let published = store.publishedInterface(of: record, store.pluggedInterfaces(of: record))?.interface
            return store.wiredInterfaces(of: record).compactMap { interface -> WireState? in
                guard let network = interface.interface.network.fabricNetwork, let port = interface.portNumber else {
                    return nil
                }
                let entries = line.entries(interface)
                let isTold = report != nil && !record.state.isOver
                let told = report?.lines[port] ?? FabricReport.Line()
                let ends = entries.map(\.inside)
                let strangers = told.appliances.filter { !ends.contains($0.inside) }.map(\.name)
                var traffic: WireState.Traffic?
                if let before, let report, !record.state.isOver {
                    func rate(_ way: KeyPath<FabricReport, [UInt16: UInt64]>) -> UInt64 {
                        let (old, new) = (before[keyPath: way][port] ?? 0, report[keyPath: way][port] ?? 0)
                        // A wire that was switched meanwhile counts from nothing.
                        return UInt64(Double(new >= old ? new - old : new) / elapsed)
                    }
                    traffic = WireState.Traffic(out: rate(\.bytesOut), in: rate(\.bytesIn))
                }
                return WireState(
                    machine: record.name, isRunning: !record.state.isOver, interface: interface.guestName,
                    addresses: interface.guestAddresses.map(\.address), network: network,
                    members: Self.members(entries, isTold ? told : nil, records),
                    strangers: strangers, impairment: line.impairment(interface),
                    stretch: isTold ? report?.stretches[port] : nil, traffic: traffic,
                    published: interface == published ? record.specification.published : [])
            }
        } + passages
    }

    /// - Parameter told: what the engine says of that wire; nil: it says nothing.
    private static func members(
        _ entries: [LineEntry], _ told: FabricReport.Line?, _ records: [MachineRecord]
    ) -> [WireState.Member] {
        let inOrder = entries.filter { $0.outside != nil }.map(\.inside)
        let isInOrder = told.map { $0.appliances.map(\.inside) == inOrder } ?? false
        return entries.map { entry in
            let state = told?.appliances.first { $0.inside == entry.inside }
            let isAsWritten =
                entry.outside == nil
                ? told?.looking.contains(entry.inside) ?? false
                : isInOrder && state?.isBypassed == entry.isBypassed && state?.isRouting == (entry.routing != nil)
            return WireState.Member(
                entry: entry, isRunning: records.contains { $0.id == entry.machine && !$0.state.isOver },
                isMissing: told != nil && !isAsWritten, isFailing: state?.isFailing, isInLine: state?.isInLine)
        }
    }
}

/// What the engine says of the fabric.
private struct FabricReport {
    struct Line {
        /// From the machine to the network.
        var appliances:
            [(
                name: String, inside: UInt16, isBypassed: Bool, isFailing: Bool, isInLine: Bool, isRouting: Bool
            )] = []
        var looking: Set<UInt16> = []
    }

    /// By the machine's port.
    var lines: [UInt16: Line] = [:]
    /// What has come from and gone to a machine's end, by its port.
    var bytesOut: [UInt16: UInt64] = [:]
    var bytesIn: [UInt16: UInt64] = [:]
    var stretches: [UInt16: StretchState] = [:]

    init(_ document: JSONValue) {
        func number(_ value: Int64?) -> UInt16? { value.flatMap { UInt16(exactly: $0) } }
        for state in document["appliances"]?.elements ?? [] {
            guard let end = number(state.integer("inside")), let port = number(state.integer("port")) else { continue }
            lines[port, default: Line()].appliances.append(
                (
                    state.text("name") ?? "", end, state.boolean("is_bypassed") ?? false,
                    state.boolean("is_failing") ?? false, state.boolean("is_in_line") ?? false,
                    state.boolean("is_routing") ?? false
                ))
        }
        for looking in document["mirrors"]?.elements ?? [] {
            guard let end = number(looking.integer("end")), let port = number(looking.integer("port")) else { continue }
            lines[port, default: Line()].looking.insert(end)
        }
        for stretch in document["stretches"]?.elements ?? [] {
            guard let port = number(stretch.integer("port")) else { continue }
            stretches[port] = StretchState(stretch)
        }
        for wire in document["wires"]?.elements ?? [] {
            let bytes = UInt64(clamping: wire.integer("bytes") ?? 0)
            if let port = Self.port(wire.text("from")) { bytesOut[port, default: 0] += bytes }
            if let port = Self.port(wire.text("to")) { bytesIn[port, default: 0] += bytes }
        }
    }

    private static func port(_ device: String?) -> UInt16? {
        guard let device, device.hasPrefix("t") else { return nil }
        return UInt16(device.dropFirst())
    }
}
