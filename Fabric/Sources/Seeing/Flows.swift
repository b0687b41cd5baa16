import AgentProtocol
public import FabricProtocol
import LinuxCalls
import WireFormats
public import Wiring

/// Tells the connections that the fabric's kernel knows: a JSON object on a line each. In its network namespace.
public enum Flows {
    /// A guest may have as many as the kernel keeps; those that carried most are told.
    private static let most = 10_000

    private static func carried(_ connection: TrackedConnection) -> UInt64 {
        (connection.question.counts?.bytes ?? 0) &+ (connection.answer.counts?.bytes ?? 0)
    }

    public static func tell() throws(FabricFault) {
        let connections: [TrackedConnection]
        do throws(LinuxError) { connections = try TrackedConnection.all() } catch {
            throw FabricFault("the kernel does not tell its connections: \(error)")
        }
        try? writeAll(1, lines(connections, at: Clock.realTime.nanoseconds()))
    }

    /// - Parameter now: since 1970.
    public static func lines(_ all: [TrackedConnection], at now: UInt64) -> [UInt8] {
        var connections = all
        if connections.count > most {
            connections.sort { carried($0) > carried($1) }
            connections.removeLast(connections.count - most)
        }
        var lines: [UInt8] = []
        for connection in connections {
            document(connection, now).write(to: &lines)
            lines.append(0x0a)
        }
        return lines
    }

    private static func document(_ connection: TrackedConnection, _ now: UInt64) -> JSONValue {
        var members = [
            JSONMember("transport", .integer(Int64(connection.transport))),
            JSONMember("question", way(connection.question)), JSONMember("answer", way(connection.answer)),
            JSONMember("has_answered", .boolean(connection.hasAnswered)),
        ]
        if let state = connection.state { members.append(JSONMember("state", .integer(Int64(state)))) }
        if let left = connection.secondsLeft { members.append(JSONMember("seconds_left", .integer(Int64(left)))) }
        if let began = connection.beganNanoseconds, began > 0 {
            let age = now > began ? (now - began) / 1_000_000 : 0
            members.append(JSONMember("age_milliseconds", .integer(Int64(clamping: age))))
        }
        return .object(members)
    }

    private static func way(_ way: TrackedConnection.Way) -> JSONValue {
        var members = [
            JSONMember("from", .string(way.source.address.description)),
            JSONMember("to", .string(way.destination.address.description)),
        ]
        if let port = way.source.port { members.append(JSONMember("from_port", .integer(Int64(port)))) }
        if let port = way.destination.port { members.append(JSONMember("to_port", .integer(Int64(port)))) }
        if let counts = way.counts {
            members.append(JSONMember("frames", .integer(Int64(clamping: counts.frames))))
            members.append(JSONMember("bytes", .integer(Int64(clamping: counts.bytes))))
        }
        return .object(members)
    }
}
