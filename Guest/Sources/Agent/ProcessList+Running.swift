import AgentProtocol
import LinuxCalls

extension ProcessList {
    /// What runs now with an identifier above that, as much as an answer holds: without the kernel's threads and the agent.
    static func running(after last: UInt32) -> ProcessList {
        let own = Children.own
        let identifiers = ProcessFacts.all().filter { $0 > 0 && UInt32(bitPattern: $0) > last && $0 != own }.sorted()
        var entries: [Entry] = []
        for identifier in identifiers {
            guard let entry = Entry(identifier) else { continue }
            if entries.count == Limits.listedProcesses { return ProcessList(entries, isLast: false) }
            entries.append(entry)
        }
        return ProcessList(entries, isLast: true)
    }
}

extension ProcessList.Entry {
    /// Source: sysconf(3), `_SC_CLK_TCK`: always 100 a second.
    private static let nanosecondsPerTick: UInt64 = 10_000_000
    private static let pageBytes: UInt64 = 4096

    /// Nil for one that is gone, or the kernel's own.
    init?(_ identifier: Int32) {
        let folder = "/proc/" + ByteString(UInt32(bitPattern: identifier))
        guard let stat = Self.beginning(folder + "/stat") else { return nil }
        self.init(
            stat: stat, arguments: Self.beginning(folder + "/cmdline") ?? [],
            status: Self.beginning(folder + "/status") ?? [])
        self.identifier = UInt32(bitPattern: identifier)
    }

    /// Of the kernel's three texts about a process. Sources: proc_pid_stat(5), proc_pid_cmdline(5), proc_pid_status(5).
    ///
    /// Trust: name and arguments are the process's own, and hold anything.
    init?(stat: [UInt8], arguments: [UInt8], status: [UInt8]) {
        guard let start = stat.firstIndex(of: UInt8(ascii: "(")), let end = stat.lastIndex(of: UInt8(ascii: ")")),
            start < end, end + 2 < stat.count
        else { return nil }
        let fields = ByteString(stat[(end + 2)...]).split(0x20)
        // PF_KTHREAD
        guard fields.count > 21, fields[6].decimal & 0x0020_0000 == 0 else { return nil }
        self.init(
            identifier: 0, parent: UInt32(truncatingIfNeeded: fields[1].decimal), user: Self.user(status),
            state: fields[0].bytes.first ?? 0, threads: UInt32(truncatingIfNeeded: fields[17].decimal),
            processorNanoseconds: (fields[11].decimal &+ fields[12].decimal) &* Self.nanosecondsPerTick,
            residentBytes: fields[21].decimal &* Self.pageBytes,
            startedNanoseconds: fields[19].decimal &* Self.nanosecondsPerTick,
            command: Self.command(arguments, name: stat[start...end]))
    }

    private static func command(_ arguments: [UInt8], name: ArraySlice<UInt8>) -> ByteString {
        var text = arguments
        while text.last == 0 { text.removeLast() }
        guard !text.isEmpty else {
            return ByteString(
                [UInt8(ascii: "[")] + name.dropFirst().dropLast().filter { $0 != 0 } + [UInt8(ascii: "]")])
        }
        for index in text.indices where text[index] == 0 { text[index] = 0x20 }
        return ByteString(text.prefix(Limits.listedCommandBytes))
    }

    /// The second number of the line: whose rights it has.
    private static func user(_ status: [UInt8]) -> UInt32 {
        for line in ByteString(status).split(0x0a) where line.hasPrefix("Uid:\t") {
            let numbers = line.split(0x09)
            if numbers.count > 2 { return UInt32(truncatingIfNeeded: numbers[2].decimal) }
        }
        return 0
    }

    private static func beginning(_ path: ByteString) -> [UInt8]? {
        var bytes: [UInt8] = []
        guard let file = try? FileTree.open(path.bytes, .readOnly),
            (try? read(file.number, appendingTo: &bytes, maximumBytes: 4096)) != nil
        else { return nil }
        return bytes
    }
}

extension ByteString {
    /// Its decimal digits up to what is none; zero where there are none.
    fileprivate var decimal: UInt64 {
        var value: UInt64 = 0
        for byte in bytes {
            guard (0x30...0x39).contains(byte) else { break }
            value = value &* 10 &+ UInt64(byte - 0x30)
        }
        return value
    }
}
