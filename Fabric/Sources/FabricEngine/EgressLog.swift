import AgentProtocol
import FabricRules
import LinuxCalls
import WireFormats
import Wiring

/// What a machine has opened and was refused, a JSON object in each line.
enum EgressLog {
    /// Longer, it becomes the one before, which is then gone.
    private static let mostBytes: UInt64 = 1 << 20

    static func line(_ packet: LoggedPacket, rule: String?, nanoseconds: UInt64) -> JSONValue {
        .object([
            JSONMember("milliseconds", .integer(Int64(clamping: nanoseconds / 1_000_000))),
            JSONMember("allowed", .boolean(rule != nil)),
            JSONMember("rule", rule.map { .string($0) } ?? .null),
            JSONMember("transport", .string(transport(packet.transport))),
            JSONMember("address", .string(packet.destination.description)),
            JSONMember("port", packet.port.map { .integer(Int64($0)) } ?? .null),
        ])
    }

    static func line(_ name: RefusedName, nanoseconds: UInt64) -> JSONValue {
        .object([
            JSONMember("milliseconds", .integer(Int64(clamping: nanoseconds / 1_000_000))),
            JSONMember("allowed", .boolean(false)),
            JSONMember("name", .string(name.name)),
        ])
    }

    private static func transport(_ number: UInt8) -> String {
        switch number {
        case 1, 58: "icmp"
        case 6: "tcp"
        case 17: "udp"
        default: "\(number)"
        }
    }

    static func append(_ bytes: [UInt8], to path: String) {
        do throws(LinuxError) {
            let file = try open(path, [.writeOnly, .create, .append, .noFollow], mode: 0o600)
            try writeAll(file.number, bytes)
            if try FileTree.facts(in: file.number).sizeBytes > mostBytes {
                try FileTree.rename([UInt8](path.utf8), to: [UInt8]((path + ".1").utf8))
            }
        } catch {
            EngineLog.write("\(path) cannot be written: \(error)")
        }
    }
}

/// What the programs that answer for names have refused. They do not wait for anybody to read it: while this process has no time, what
/// there is no room for is lost, and each question is answered.
final class RefusedNames {
    private static let mostBytes = 64 << 10
    /// At once: mostly there is nothing.
    private static let readBytes = 1024
    /// Of one machine in a second: whoever asks without end fills no disk, and hides nobody else's.
    private static let mostInSecond = 20
    private static let second: UInt64 = 1_000_000_000

    private let pipe: PipePair
    private var rest: [UInt8] = []
    private var second: (begin: UInt64, counts: [IPAddress: Int]) = (0, [:])

    var reading: Int32 { pipe.reading.number }
    /// For what the programs say.
    var writing: Int32 { pipe.writing.number }

    init() throws(LinuxError) {
        pipe = try PipePair()
        for end in [pipe.reading.number, pipe.writing.number] { try setNonBlocking(end) }
    }

    /// What they have said since the last call, each name of a machine once. Never waits.
    func take() -> [RefusedName] {
        var total = 0
        while total < Self.mostBytes,
            let count = try? read(pipe.reading.number, appendingTo: &rest, maximumBytes: Self.readBytes), count > 0
        {
            total += count
        }
        if total == 0 { return [] }
        var names: [RefusedName] = []
        var seen: Set<RefusedName> = []
        var lines = rest.split(separator: 0x0a, omittingEmptySubsequences: false)
        let last = lines.removeLast()
        for line in lines {
            if let name = RefusedName(line: line), seen.insert(name).inserted { names.append(name) }
            // Why one does not begin; whatever else it says bears its number.
            if line.starts(with: "dnsmasq: ".utf8) { EngineLog.write(String(decoding: line, as: UTF8.self)) }
        }
        // A line without an end is none of theirs.
        rest = last.count < 4096 ? Array(last) : []
        let now = Clock.monotonic.nanoseconds()
        if now - second.begin >= Self.second { second = (now, [:]) }
        return names.filter { name in
            second.counts[name.client, default: 0] += 1
            return second.counts[name.client, default: 0] <= Self.mostInSecond
        }
    }
}
