package import AgentClient
import FoundationEssentials
import LinuxCalls

/// Orders for the monitor of a machine that runs, one request on a connection of its own: HTTP over its control socket.
///
/// Trust: the monitor serves a guest, and may have been taken over by it; what it answers is bounded and only looked at.
struct MonitorControl {
    /// Snapshots take as long as the disk does.
    static let snapshotSeconds: UInt64 = 600
    private static let usualSeconds: UInt64 = 60
    private static let mostAnswerBytes = 64 << 10

    let name: String
    let path: String
    let domain: any SocketDomain

    init(_ record: MachineRecord, domain: any SocketDomain) {
        name = record.name
        path = MonitorConfiguration.controlSocket(record.socketPath)
        self.domain = domain
    }

    func pause() throws(FleetError) { try order("PATCH", "/vm", #"{"state":"Paused"}"#) }
    func resume() throws(FleetError) { try order("PATCH", "/vm", #"{"state":"Resumed"}"#) }

    /// Has the monitor of a machine that is paused write these two into its folder.
    func writeSnapshot(state: String, memory: String) throws(FleetError) {
        try order(
            "PUT", "/snapshot/create", "{\"snapshot_path\":\"\(state)\",\"mem_file_path\":\"\(memory)\"}",
            seconds: Self.snapshotSeconds)
    }

    /// The same of a machine that runs, which goes on as soon as its memory has been set aside.
    func writeLiveSnapshot(state: String, memory: String) throws(FleetError) {
        try order(
            "PUT", "/swiftlet/live-snapshot", "{\"snapshot_path\":\"\(state)\",\"mem_file_path\":\"\(memory)\"}",
            seconds: Self.snapshotSeconds)
    }

    @discardableResult
    func order(
        _ method: String, _ resource: String, _ body: String, seconds: UInt64 = usualSeconds
    ) throws(FleetError) -> [UInt8] {
        let answer: (status: Int, body: [UInt8])
        do throws(AgentClientError) {
            answer = try exchange(method, resource, body, Deadline(afterMilliseconds: seconds * 1000))
        } catch {
            throw FleetError(
                .notControlled,
                error.code == .silent
                    ? "the monitor of \"\(name)\" did not answer within \(seconds) s"
                    : "the monitor of \"\(name)\" cannot be reached, or ended meanwhile: \(error.message)")
        }
        return try checked(answer)
    }

    func checked(_ answer: (status: Int, body: [UInt8])) throws(FleetError) -> [UInt8] {
        guard (200..<300).contains(answer.status) else {
            throw FleetError(.notControlled, "the monitor of \"\(name)\" refused: \(Self.reason(answer.body))")
        }
        return answer.body
    }

    private static func reason(_ body: [UInt8]) -> String {
        struct Fault: Decodable { var fault_message: String }
        return (try? JSONDecoder().decode(Fault.self, from: Data(body)))?.fault_message ?? "it did not say why"
    }

    static func request(_ method: String, _ resource: String, _ body: String) -> String {
        "\(method) \(resource) HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }

    private func exchange(
        _ method: String, _ resource: String, _ body: String, _ deadline: Deadline
    ) throws(AgentClientError) -> (status: Int, body: [UInt8]) {
        let socket = AgentSocket(try domain.connect(path, until: deadline))
        try socket.write(Array(Self.request(method, resource, body).utf8))
        var answer: [UInt8] = []
        while true {
            if let parsed = try MonitorAnswer(answer) { return (parsed.status, parsed.body) }
            guard answer.count < Self.mostAnswerBytes,
                try socket.readSome(appendingTo: &answer, maximumBytes: 4096, until: deadline)
            else { throw AgentClientError(.gone, "its answer ended in the middle, or is too long") }
        }
    }
}

/// One whole answer, as far as it is needed. Source: RFC 9112 §§4, 6.
package struct MonitorAnswer: Equatable {
    package let status: Int
    package let body: [UInt8]

    /// Nil as long as bytes are missing.
    /// - Throws: `.malformed` for what is no answer.
    package init?(_ bytes: [UInt8]) throws(AgentClientError) {
        let end = Array("\r\n\r\n".utf8)
        guard bytes.count >= end.count else { return nil }
        guard
            let head = (0...(bytes.count - end.count)).first(where: { bytes[$0..<($0 + end.count)].elementsEqual(end) })
        else { return nil }
        let lines = String(decoding: bytes[..<head], as: UTF8.self).split(separator: "\r\n")
        let words = (lines.first ?? "").split(separator: " ")
        guard words.count >= 2, words[0].hasPrefix("HTTP/1."), let status = Int(words[1]), (100..<600).contains(status)
        else { throw AgentClientError(.malformed, "it does not speak HTTP") }
        var length = 0
        for line in lines.dropFirst() where line.lowercased().hasPrefix("content-length:") {
            let text = line.dropFirst("content-length:".count).filter { $0 != " " }
            guard let count = Int(text), (0...(1 << 20)).contains(count) else {
                throw AgentClientError(.malformed, "its answer has no length")
            }
            length = count
        }
        let rest = bytes[(head + end.count)...]
        guard rest.count >= length else { return nil }
        self.status = status
        body = Array(rest.prefix(length))
    }
}
