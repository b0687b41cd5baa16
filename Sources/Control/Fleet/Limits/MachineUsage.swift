import AgentClient
public import AgentProtocol
import LinuxCalls

/// What a machine that runs has used, and has now.
public struct MachineUsage: Sendable {
    public struct Disk: Encodable, Equatable, Sendable {
        /// As the guest calls it.
        public var name: String
        public var readBytes: UInt64
        public var readOperations: UInt64
        public var writtenBytes: UInt64
        public var writeOperations: UInt64
        /// How often it had to wait for its limit.
        public var waits: UInt64
    }

    public struct Network: Encodable, Equatable, Sendable {
        public var name: String
        /// To the guest.
        public var inBytes: UInt64
        public var inPackets: UInt64
        /// From the guest.
        public var outBytes: UInt64
        public var outPackets: UInt64
    }

    /// Of the monitor with its processors, since they began, and when it was asked for.
    public var processorMicroseconds: UInt64
    public var askedNanoseconds: UInt64
    public var disks: [Disk]
    public var networks: [Network]
    /// What the guest has given back by a limit.
    public var balloonMebibytes: Int?
    /// What it has beside what it began with; nil where there can be none.
    public var pluggedMebibytes: Int?
    /// Nil where the guest does not answer, or stands still.
    public var memory: MachineMemory?
    /// Of programs in the guest.
    public var processes: Int?

    /// Processors that were busy between the two.
    public func processors(since before: MachineUsage) -> Double {
        let time = Double(askedNanoseconds &- before.askedNanoseconds) / 1000
        guard time > 0, processorMicroseconds >= before.processorMicroseconds else { return 0 }
        return Double(processorMicroseconds - before.processorMicroseconds) / time
    }
}

extension MachineRemote {
    /// A guest may go on for ever.
    private static let mostProcesses = 65_536

    /// - Parameter asksGuest: false: only what its monitor knows.
    public func usage(asksGuest: Bool = true) throws(FleetError) -> MachineUsage {
        let counters = try control.counters()
        let asked = Clock.monotonic.nanoseconds()
        let names = Dictionary(
            record.interfaces.map { ($0.place, $0.guestName) }, uniquingKeysWith: { first, _ in first })
        let attached = Dictionary(
            store.attachments(of: record).map { ($0.id, $0.guestName ?? $0.id) },
            uniquingKeysWith: { first, _ in first })
        var usage = MachineUsage(
            processorMicroseconds: counters.cpu_time_us, askedNanoseconds: asked,
            disks: counters.drives.map { drive in
                let index = drive.drive_id.hasPrefix("disk") ? Int(drive.drive_id.dropFirst(4)) : nil
                return MachineUsage.Disk(
                    name: attached[drive.drive_id]
                        ?? MachineLimits.disk(index.flatMap { (0..<25).contains($0) ? $0 : nil }),
                    readBytes: drive.read_bytes, readOperations: drive.read_count, writtenBytes: drive.write_bytes,
                    writeOperations: drive.write_count, waits: drive.rate_limiter_throttled_events)
            },
            networks: counters.interfaces.map { interface in
                MachineUsage.Network(
                    name: names[interface.iface_id] ?? attached[interface.iface_id] ?? interface.iface_id,
                    inBytes: interface.rx_bytes_count,
                    inPackets: interface.rx_packets_count, outBytes: interface.tx_bytes_count,
                    outPackets: interface.tx_packets_count)
            }, balloonMebibytes: counters.balloon?.actual_mib, memory: nil, processes: nil)
        if record.specification.memoryMaximumMebibytes != nil {
            usage.pluggedMebibytes = try control.pluggedMemory().plugged_size_mib
        }
        guard asksGuest, let control = try? connect(), (try? control.send(.ping, id: 1)) != nil,
            case .pong(let load)? = try? control.answer(
                to: 1, until: Deadline(afterMilliseconds: patienceMilliseconds))
        else { return usage }
        usage.memory = memory(load, pluggedMebibytes: usage.pluggedMebibytes)
        usage.processes = (try? processes(control))?.count
        return usage
    }

    /// What runs in the guest, in the order of its numbers.
    public func processes() throws -> [ProcessList.Entry] { try processes(try connect()) }

    private func processes(_ control: AgentConnection) throws(AgentClientError) -> [ProcessList.Entry] {
        var entries: [ProcessList.Entry] = []
        let deadline = Deadline(afterMilliseconds: patienceMilliseconds)
        while entries.count < Self.mostProcesses {
            let last = entries.last?.identifier ?? 0
            try control.send(.processes(after: last), id: 2)
            guard case .processes(let list) = try control.answer(to: 2, until: deadline) else {
                throw AgentClientError(.malformed, "the guest's agent gave another answer than was asked for")
            }
            // Trust: a guest that does not go forward is not asked again.
            let isForward = (list.entries.first?.identifier ?? .max) > last
            if isForward { entries += list.entries }
            if list.isLast || !isForward || list.entries.isEmpty { break }
        }
        return entries
    }
}
