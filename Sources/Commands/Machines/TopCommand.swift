import AgentProtocol
import ArgumentParser
import Fleet

struct TopCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "top", abstract: "List the processes in a machine.",
        discussion: """
            The guest's agent looks, so that the image needs no program for it. The kernel's own threads and the agent are left
            out.

            Examples:
              swiftlet top web
              swiftlet top --json web
            """)

    @Argument(help: "A machine's name or id.", completion: Completions.runningMachines) var machine: String
    @OptionGroup var format: FormatOptions

    func run() throws {
        let store = Product.fleet.store
        let record = try store.findRunning(machine)
        let processes = try MachineRemote(record, store: store).processes().map(ProcessDocument.init)
        if format.isJSON { return Output.json(processes) }
        var table = Table("PID", "PARENT", "UID", "STATE", "THREADS", "CPU TIME", "MEMORY", "COMMAND")
        for process in processes {
            table.add(
                "\(process.pid)", "\(process.parent)", "\(process.user)", process.state, "\(process.threads)",
                process.timeText, Units.size(process.residentBytes), process.command)
        }
        Output.line(table.text)
    }
}

/// A process in a guest, for programs: names that stay. All of it is the guest's word.
struct ProcessDocument: Encodable {
    var pid: UInt32
    var parent: UInt32
    var user: UInt32
    var state: String
    var threads: UInt32
    var cpuMilliseconds: UInt64
    var residentBytes: UInt64
    /// After the guest's kernel.
    var startedMilliseconds: UInt64
    var command: String

    init(_ entry: ProcessList.Entry) {
        pid = entry.identifier
        parent = entry.parent
        user = entry.user
        state = String(UnicodeScalar(entry.state))
        threads = entry.threads
        cpuMilliseconds = entry.processorNanoseconds / 1_000_000
        residentBytes = entry.residentBytes
        startedMilliseconds = entry.startedNanoseconds / 1_000_000
        command = entry.command.description
    }

    /// `0.25 s`, `3:07 min`.
    var timeText: String {
        let hundredths = cpuMilliseconds / 10
        let (seconds, rest) = (hundredths / 100, hundredths % 100)
        if seconds < 60 { return "\(seconds).\(rest < 10 ? "0" : "")\(rest) s" }
        return "\(seconds / 60):\(seconds % 60 < 10 ? "0" : "")\(seconds % 60) min"
    }
}
