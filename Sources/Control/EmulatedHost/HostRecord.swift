import AgentProtocol
import WireFormats

/// What is written down about the running host, readable by its owner only: it holds the secret.
struct HostRecord: Equatable, Sendable {
    var emulator: ProcessIdentity
    /// Of the agent, on 127.0.0.1.
    var port: UInt16
    var secret: Secret
    /// Of the template that it was restored from.
    var fingerprint: String
    /// Seconds since 1970.
    var startedSeconds: Int64
    var memoryMebibytes: Int
    var processors: Int

    /// As one line of JSON. Nothing in it needs escaping.
    var text: String {
        let secret = HexadecimalText.encode(secret.bytes)
        return "{\"pid\":\(emulator.identifier),\"start_ticks\":\(emulator.startTicks),\"port\":\(port),"
            + "\"secret\":\"\(secret)\",\"fingerprint\":\"\(fingerprint)\",\"started\":\(startedSeconds),"
            + "\"memory_mib\":\(memoryMebibytes),\"processors\":\(processors)}\n"
    }

    init(
        emulator: ProcessIdentity, port: UInt16, secret: Secret, fingerprint: String, startedSeconds: Int64,
        memoryMebibytes: Int, processors: Int
    ) {
        self.emulator = emulator
        self.port = port
        self.secret = secret
        self.fingerprint = fingerprint
        self.startedSeconds = startedSeconds
        self.memoryMebibytes = memoryMebibytes
        self.processors = processors
    }

    /// Nil for anything that is not such a record: it is then treated as if there were none.
    init?(parsing text: String) {
        guard let document = try? JSONParser.parse(Array(text.utf8)),
            let process = document.integer("pid").flatMap(Int32.init(exactly:)),
            let ticks = document.integer("start_ticks").flatMap(UInt64.init(exactly:)),
            let port = document.integer("port").flatMap(UInt16.init(exactly:)),
            let digits = document.string("secret"), let secret = Secret(hexadecimal: ByteString(digits)),
            let fingerprint = document.string("fingerprint"), let started = document.integer("started"),
            let memory = document.integer("memory_mib").flatMap(Int.init(exactly:)),
            let processors = document.integer("processors").flatMap(Int.init(exactly:))
        else { return nil }
        self.init(
            emulator: ProcessIdentity(identifier: process, startTicks: ticks), port: port, secret: secret,
            fingerprint: fingerprint, startedSeconds: started, memoryMebibytes: memory, processors: processors)
    }
}

extension JSONValue {
    /// A member of an object.
    func member(_ name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }

    func integer(_ name: String) -> Int64? {
        if case .integer(let value) = member(name) { value } else { nil }
    }

    func string(_ name: String) -> String? {
        if case .string(let value) = member(name) { value } else { nil }
    }
}

/// Bytes as lower-case hexadecimal digits.
enum HexadecimalText {
    static func encode(_ bytes: [UInt8]) -> String {
        String(decoding: bytes.flatMap { [digit($0 >> 4), digit($0 & 15)] }, as: UTF8.self)
    }

    private static func digit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x57 + value }
}
