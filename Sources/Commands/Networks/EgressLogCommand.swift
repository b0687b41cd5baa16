import ArgumentParser
import Fleet
import FoundationEssentials
import HostFiles

struct EgressLogCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log", abstract: "Print what a machine with rules has opened, and what it was refused.",
        discussion: """
            Each new connection with its rule, each attempt that was refused, and each name that was not answered: 20 in a second at
            most of each kind. At most the last 2 MiB are kept. With --json as they are written: an object in each line.

            Examples:
              swiftlet egress log agent
              swiftlet egress log --refused --follow agent
            """)

    @Flag(name: [.short, .long], help: "Go on as more is written, until the machine ends.") var follow = false
    @Flag(help: "Only what was refused.") var refused = false
    @Argument(help: "A machine's name or id.", completion: Completions.machines) var machine: String
    @OptionGroup var format: FormatOptions

    func run() throws {
        let store = Product.fleet.store
        let record = try store.find(machine)
        var log = LogFile(HostPath(store.egressLog(of: record)))
        var rest = log.before(limit: 4 << 20)
        func take(_ bytes: ArraySlice<UInt8>) {
            rest += bytes
            while let end = rest.firstIndex(of: 0x0a) {
                tell(Array(rest[..<end]))
                rest.removeSubrange(...end)
            }
        }
        log.follow(record, in: store, isOnce: !follow, take)
    }

    /// Trust: names are a guest's.
    private func tell(_ line: [UInt8]) {
        guard let entry = try? JSONDecoder().decode(EgressEntry.self, from: Data(line)), !(refused && entry.allowed)
        else { return }
        if format.isJSON { return Output.bytes(line + [0x0a], to: 1) }
        Output.line(entry.text)
    }
}

/// A line of the log.
private struct EgressEntry: Decodable {
    var milliseconds: Int64
    var allowed: Bool
    var rule: String?
    var transport: String?
    var address: String?
    var port: UInt16?
    /// Of a name that was not answered.
    var name: String?

    var text: String {
        let time = Timestamp.text(nanoseconds: UInt64(min(max(0, milliseconds), 1 << 43)) * 1_000_000, digits: 3)
        let verdict = allowed ? "allowed" : "refused"
        if let name { return "\(time)  \(verdict)  name \(Table.printable(name))" }
        let host = address.map { $0.contains(":") && port != nil ? "[\($0)]" : $0 } ?? ""
        let place = host + (port.map { ":\($0)" } ?? "")
        return "\(time)  \(verdict)  \(transport ?? "") \(place)" + (rule.map { "  by \($0)" } ?? "")
    }
}
