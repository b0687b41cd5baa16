import WireFormats

/// The 64 bytes with which every connection begins, sent by the side that connects.
///
/// Layout, little-endian: magic `SWLT` (0), version u16 (4), kind u8 (6), stream u8 (7), process u32 (8), zero u32 (12),
/// token 16 bytes (16), secret 32 bytes (32).
///
/// Trust: an acceptor that has a secret compares it, and the token of a stream, in constant time before anything else.
public struct Opening: Equatable, Sendable {
    public static let byteCount = 64
    public static let version: UInt16 = 1
    private static let magic: UInt32 = 0x544c_5753

    /// What the connection carries after the opening.
    public enum Kind: Equatable, Sendable {
        /// Frames: `HostMessage` one way, `AgentMessage` the other.
        case control
        /// Raw bytes of one stream of a process; `process` is the number that the host gave it in `Start`.
        case stream(ProcessStream, process: UInt32, token: Token)
        /// Frames: `TransferMessage` both ways.
        case files
        /// One `HostMessage.relay`, answers from the agent, then raw bytes both ways.
        case relay
    }

    public var kind: Kind
    public var secret: Secret

    public init(_ kind: Kind, secret: Secret = .none) {
        self.kind = kind
        self.secret = secret
    }

    public func encoded() -> [UInt8] {
        var stream: UInt8 = 0
        var process: UInt32 = 0
        var token = Token(first: 0, second: 0)
        var number: UInt8
        switch kind {
        case .control: number = 1
        case .stream(let its, let of, let with):
            number = 2
            (stream, process, token) = (its.rawValue, of, with)
        case .files: number = 3
        case .relay: number = 4
        }
        var writer = LittleEndianWriter(reserving: Self.byteCount)
        writer.write(Self.magic)
        writer.write(Self.version)
        writer.write(number)
        writer.write(stream)
        writer.write(process)
        writer.write(UInt32(0))
        writer.write(token.first)
        writer.write(token.second)
        writer.writeBytes(secret.bytes)
        return writer.bytes
    }

    /// Reads an opening from exactly its 64 bytes.
    public init(decoding bytes: [UInt8]) throws(ProtocolError) {
        guard bytes.count == Self.byteCount else { throw .truncated }
        var reader = MessageReader(bytes)
        guard reader.integer(UInt32.self) == Self.magic else { throw .notThisProtocol }
        let version = reader.integer(UInt16.self)
        guard version == Self.version else { throw .version(version) }
        let number = reader.integer(UInt8.self)
        let stream = reader.integer(UInt8.self)
        let process = reader.integer(UInt32.self)
        guard reader.integer(UInt32.self) == 0 else { throw .outOfBounds(.flags) }
        let token = Token(first: reader.integer(), second: reader.integer())
        secret = Secret(reader.bytes(Secret.byteCount)) ?? .none
        switch number {
        case 1: kind = .control
        case 2:
            guard let which = ProcessStream(rawValue: stream) else { throw .outOfBounds(.stream) }
            kind = .stream(which, process: process, token: token)
        case 3: kind = .files
        case 4: kind = .relay
        default: throw .outOfBounds(.kind)
        }
    }
}

/// One stream of a process.
public enum ProcessStream: UInt8, Equatable, Sendable {
    case standardInput = 0
    case standardOutput = 1
    case standardError = 2
    /// Both directions of a terminal.
    case terminal = 3
}
