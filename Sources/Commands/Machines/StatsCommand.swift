import ArgumentParser
import Fleet
import LinuxCalls

struct StatsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stats", abstract: "Show what machines use, and what they may.",
        discussion: """
            CPU is the time of one processor: 200% are two that are busy. Memory is what the machine takes of this computer's,
            and what its guest uses of its own. What was read, written, received and sent counts from the machine's start.
            On a terminal the table is shown anew until it is interrupted.

            Examples:
              swiftlet stats
              swiftlet stats --no-stream web database
              swiftlet stats --json web
            """)

    private static let pauseNanoseconds: UInt64 = 1_000_000_000

    @Flag(help: "Show it once.") var noStream = false
    @Argument(
        help: "Names or ids of machines; all that run if none are given.", completion: Completions.runningMachines)
    var machines: [String] = []
    @OptionGroup var format: FormatOptions

    func run() throws {
        var before = try usages(asksGuest: false)
        let isLive = !noStream && !format.isJSON
        repeat {
            LinuxCalls.sleep(nanoseconds: Self.pauseNanoseconds)
            let now = try usages(asksGuest: true)
            let documents = now.map { record, usage in
                UsageDocument(
                    record, usage, since: before.first { $0.0.id == record.id }?.1,
                    attached: Product.fleet.store.attachments(of: record))
            }
            if format.isJSON { return Output.json(documents) }
            let text = Self.table(documents)
            Output.line(isLive && Terminal.isTerminal(1) ? "\u{1b}[H\u{1b}[2J" + text : text)
            before = now
        } while isLive
    }

    /// Of all machines those that end meanwhile are left out; those that were named must run.
    private func usages(asksGuest: Bool) throws -> [(MachineRecord, MachineUsage)] {
        let store = Product.fleet.store
        guard machines.isEmpty else {
            return try machines.map { reference in
                let record = try store.findRunning(reference)
                return (record, try MachineRemote(record, store: store).usage(asksGuest: asksGuest))
            }
        }
        return store.list().filter { $0.state == .running || $0.state == .paused }.compactMap { record in
            (try? MachineRemote(record, store: store).usage(asksGuest: asksGuest)).map { (record, $0) }
        }
    }

    private static func table(_ documents: [UsageDocument]) -> String {
        var table = Table(
            "NAME", "CPU", "MEMORY / SIZE", "GUEST USES", "PROCESSES", "DISK R / W", "NET IN / OUT", "UP", "LIMITS")
        for document in documents {
            table.add(
                document.name, document.cpuText, document.memoryText, document.guestText,
                document.processes.map(String.init) ?? "-",
                pair(
                    document.disks.reduce(0) { $0 &+ $1.readBytes }, document.disks.reduce(0) { $0 &+ $1.writtenBytes }),
                pair(
                    document.networks.reduce(0) { $0 &+ $1.inBytes }, document.networks.reduce(0) { $0 &+ $1.outBytes }),
                document.uptimeSeconds.map(Units.age(seconds:)) ?? "-", document.limits.text)
        }
        return table.text
    }

    private static func pair(_ first: UInt64, _ second: UInt64) -> String {
        "\(Units.size(first)) / \(Units.size(second))"
    }
}

/// What a machine uses, for programs: names that stay.
struct UsageDocument: Encodable {
    var id: String
    var name: String
    var state: MachineState
    /// 100 is one processor; over the last second.
    var cpuPercent: Double
    var cpuMicroseconds: UInt64
    var processors: Int
    var memorySizeBytes: UInt64
    /// Nil where the guest does not answer, or stands still.
    var memory: MachineMemory?
    var balloonMebibytes: Int?
    /// What it has beside what it began with, and what it can have in all; missing where it cannot grow.
    var pluggedMebibytes: Int?
    var memoryMaximumMebibytes: Int?
    var processes: Int?
    var disks: [MachineUsage.Disk]
    var networks: [MachineUsage.Network]
    var uptimeSeconds: Int64?
    var limits: LimitsDocument

    init(
        _ record: MachineRecord, _ usage: MachineUsage, since before: MachineUsage?, attached: [DeviceAttachment]
    ) {
        id = record.id
        name = record.name
        state = record.state
        cpuPercent = before.map { (usage.processors(since: $0) * 1000).rounded() / 10 } ?? 0
        cpuMicroseconds = usage.processorMicroseconds
        processors = record.specification.processors
        pluggedMebibytes = usage.pluggedMebibytes
        memoryMaximumMebibytes = record.specification.memoryMaximumMebibytes
        memorySizeBytes = UInt64(clamping: record.specification.memoryMebibytes &+ (usage.pluggedMebibytes ?? 0)) << 20
        memory = usage.memory
        balloonMebibytes = usage.balloonMebibytes
        processes = usage.processes
        disks = usage.disks
        networks = usage.networks
        uptimeSeconds = record.startedSeconds.map { max(0, Now.seconds &- $0) }
        limits = LimitsDocument(record.specification, attached: attached)
    }

    var cpuText: String { "\(cpuPercent)%" }

    var memoryText: String {
        let resident = memory?.residentBytes.map { Units.size($0 &+ (memory?.monitorBytes ?? 0)) } ?? "-"
        return "\(resident) / \(Units.size(memorySizeBytes))"
    }

    var guestText: String { memory.map { "\(Units.size($0.usedBytes)) of \(Units.size($0.guestBytes))" } ?? "-" }
}
