import WireFormats

/// A message of one direction: how it is numbered, written and read.
public protocol FramedMessage: Equatable, Sendable {
    /// The longest payload that a reader accepts.
    static var payloadLimit: Int { get }
    /// The message's number on the wire.
    var type: UInt16 { get }
    /// Appends the payload.
    func encodePayload(into writer: inout LittleEndianWriter)
    /// Reads the payload of a message with that number.
    init(type: UInt16, payload: [UInt8]) throws(ProtocolError)
}

/// A message in its frame: payload length u32, message number u16, zero u16, id u32, then the payload.
///
/// The id is the process's number in messages about a process, and otherwise whatever the host chose for its request;
/// the agent's answer repeats it.
public struct Frame<Message: FramedMessage>: Equatable, Sendable {
    public var id: UInt32
    public var message: Message

    public init(_ message: Message, id: UInt32 = 0) {
        self.id = id
        self.message = message
    }

    /// Reads the payload of a frame.
    public init(_ frame: RawFrame) throws(ProtocolError) {
        id = frame.id
        message = try Message(type: frame.type, payload: frame.payload)
    }

    public func encoded() -> [UInt8] {
        var writer = LittleEndianWriter(reserving: 64)
        writer.write(UInt32(0))
        writer.write(message.type)
        writer.write(UInt16(0))
        writer.write(id)
        message.encodePayload(into: &writer)
        writer.overwrite(UInt32(truncatingIfNeeded: writer.bytes.count - frameHeaderBytes), at: 0)
        return writer.bytes
    }
}

/// Bytes of a frame before its payload.
public let frameHeaderBytes = 12

/// A frame whose payload nobody has looked at.
public struct RawFrame: Equatable, Sendable {
    public var type: UInt16
    public var id: UInt32
    public var payload: [UInt8]
}

/// Cuts bytes into frames as they arrive, whatever their messages.
///
/// Holds at most one frame's payload plus what was appended last. A frame that is too long is refused as soon as its
/// header is there, before any of its payload is kept. After an error the connection is of no use any more.
public struct FrameSplitter: Sendable {
    private let payloadLimit: Int
    private var pending: [UInt8] = []
    private var start = 0

    public init(payloadLimit: Int) { self.payloadLimit = payloadLimit }

    /// Bytes held that are not yet part of a returned frame.
    public var pendingCount: Int { pending.count - start }

    public mutating func append(_ bytes: some Sequence<UInt8>) {
        if start > 0 {
            pending.removeSubrange(0..<start)
            start = 0
        }
        pending.append(contentsOf: bytes)
    }

    /// The next whole frame, or nil while more bytes are needed.
    public mutating func next() throws(ProtocolError) -> RawFrame? {
        guard pendingCount >= frameHeaderBytes else { return nil }
        var header = MessageReader([UInt8](pending[start..<start + frameHeaderBytes]))
        let length = header.integer(UInt32.self)
        let type = header.integer(UInt16.self)
        if header.integer(UInt16.self) != 0 { header.fail(.outOfBounds(.flags)) }
        let id = header.integer(UInt32.self)
        try header.finish()
        guard length <= UInt32(payloadLimit) else { throw .frameTooLong(length) }
        guard pendingCount - frameHeaderBytes >= Int(length) else { return nil }
        let begin = start + frameHeaderBytes
        let payload = [UInt8](pending[begin..<begin + Int(length)])
        start = begin + Int(length)
        if start == pending.count {
            pending = []
            start = 0
        }
        return RawFrame(type: type, id: id, payload: payload)
    }

    /// What follows the last frame: the first raw bytes of a relay. Nothing is held afterwards.
    public mutating func takeRest() -> [UInt8] {
        let rest = [UInt8](pending[start...])
        pending = []
        start = 0
        return rest
    }
}

/// Puts the messages of one direction together from bytes as they arrive.
public struct FrameAssembler<Message: FramedMessage>: Sendable {
    private var splitter = FrameSplitter(payloadLimit: Message.payloadLimit)

    public init() {}

    /// Bytes held that are not yet part of a returned frame.
    public var pendingCount: Int { splitter.pendingCount }

    public mutating func append(_ bytes: some Sequence<UInt8>) { splitter.append(bytes) }

    /// The next whole frame, or nil while more bytes are needed.
    public mutating func next() throws(ProtocolError) -> Frame<Message>? {
        guard let frame = try splitter.next() else { return nil }
        return try Frame(frame)
    }

    /// What follows the last frame. Nothing is held afterwards.
    public mutating func takeRest() -> [UInt8] { splitter.takeRest() }
}
