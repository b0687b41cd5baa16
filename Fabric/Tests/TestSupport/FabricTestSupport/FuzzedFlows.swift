import Seeing
import WireFormats
import Wiring

/// What the kernel says of connections, whose ends are whoever guests speak to. Whatever the bytes are, they are refused or connections, and
/// each of these is told with both its ways in a line of JSON.
public func fuzzFlows(_ input: [UInt8]) {
    guard let connections = try? TrackedConnection.read(input) else { return }
    let lines = Flows.lines(connections, at: 1 << 60).split(separator: 0x0a)
    precondition(lines.count == connections.count, "each connection has a line")
    for (line, connection) in zip(lines, connections) {
        guard let document = try? JSONParser.parse(Array(line)) else { preconditionFailure("a line is JSON") }
        precondition(document.integer("transport") == Int64(connection.transport), "a line says what it is of")
        for (name, way) in [("question", connection.question), ("answer", connection.answer)] {
            precondition(document[name]?.text("from") == way.source.address.description, "a way has a beginning")
            precondition(document[name]?.text("to") == way.destination.address.description, "a way has an end")
        }
    }
}
