/// What a packet asks for. Source: virtio 1.3 §5.10.6, `enum virtio_vsock_op`.
enum VsockOperation: UInt16, Sendable {
    case request = 1
    case response = 2
    case reset = 3
    case shutdown = 4
    case readWrite = 5
    case creditUpdate = 6
    case creditRequest = 7
}

/// Which directions a SHUTDOWN ends, seen from its sender. Source: virtio 1.3 §5.10.6.5.
struct VsockShutdown: OptionSet, Sendable {
    let rawValue: UInt32
    /// The sender receives no more data.
    static let receive = VsockShutdown(rawValue: 1)
    /// The sender sends no more data.
    static let send = VsockShutdown(rawValue: 2)
    static let both: VsockShutdown = [.receive, .send]
}

/// The header in front of every packet: 44 bytes, little-endian, laid out as the fields stand here.
///
/// Trust: what comes from the guest is copied first; no field is believed before `VsockDevice` has judged it.
/// Source: virtio 1.3 §5.10.6, `struct virtio_vsock_hdr`.
struct VsockHeader: Equatable, Sendable {
    static let sizeBytes = 44
    static let streamType: UInt16 = 1

    @LittleEndian var sourceCID: UInt64 = 0
    @LittleEndian var destinationCID: UInt64 = 0
    @LittleEndian var sourcePort: UInt32 = 0
    @LittleEndian var destinationPort: UInt32 = 0
    /// The payload's length (`len`).
    @LittleEndian var lengthBytes: UInt32 = 0
    @LittleEndian var type: UInt16 = VsockHeader.streamType
    /// The operation's number (`op`); many numbers mean nothing.
    @LittleEndian var operationNumber: UInt16 = 0
    @LittleEndian var flags: UInt32 = 0
    /// The sender's room for what it receives on this connection (`buf_alloc`).
    @LittleEndian var bufferBytes: UInt32 = 0
    /// How much of what it received the sender has passed on, modulo 2^32 (`fwd_cnt`).
    @LittleEndian var forwardedBytes: UInt32 = 0

    init() {}

    /// Calls `body` with the header's bytes, to fill or to copy them.
    @inline(__always)
    mutating func withBytes<R, E>(_ body: (UnsafeMutableRawBufferPointer) throws(E) -> R) throws(E) -> R {
        // SAFETY: the fields lie without gaps in the first 44 bytes, and every bit pattern is a header.
        unsafe try withUnsafeMutableBytes(of: &self) { bytes throws(E) in
            unsafe try body(UnsafeMutableRawBufferPointer(rebasing: bytes[..<Self.sizeBytes]))
        }
    }
}

/// An integer that lies in memory as the guest has it.
@propertyWrapper
struct LittleEndian<Value: FixedWidthInteger & Sendable>: Equatable, Sendable {
    private var stored: Value

    @inline(__always)
    init(wrappedValue: Value) { stored = wrappedValue.littleEndian }

    var wrappedValue: Value {
        @inline(__always) get { Value(littleEndian: stored) }
        @inline(__always) set { stored = newValue.littleEndian }
    }
}
