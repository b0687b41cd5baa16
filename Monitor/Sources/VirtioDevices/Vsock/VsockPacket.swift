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

    private var rawSourceCID: UInt64 = 0
    private var rawDestinationCID: UInt64 = 0
    private var rawSourcePort: UInt32 = 0
    private var rawDestinationPort: UInt32 = 0
    private var rawLengthBytes: UInt32 = 0
    private var rawType: UInt16 = VsockHeader.streamType.littleEndian
    private var rawOperation: UInt16 = 0
    private var rawFlags: UInt32 = 0
    private var rawBufferBytes: UInt32 = 0
    private var rawForwardedBytes: UInt32 = 0

    var sourceCID: UInt64 {
        get { UInt64(littleEndian: rawSourceCID) }
        set { rawSourceCID = newValue.littleEndian }
    }
    var destinationCID: UInt64 {
        get { UInt64(littleEndian: rawDestinationCID) }
        set { rawDestinationCID = newValue.littleEndian }
    }
    var sourcePort: UInt32 {
        get { UInt32(littleEndian: rawSourcePort) }
        set { rawSourcePort = newValue.littleEndian }
    }
    var destinationPort: UInt32 {
        get { UInt32(littleEndian: rawDestinationPort) }
        set { rawDestinationPort = newValue.littleEndian }
    }
    /// The payload's length (`len`).
    var lengthBytes: UInt32 {
        get { UInt32(littleEndian: rawLengthBytes) }
        set { rawLengthBytes = newValue.littleEndian }
    }
    var type: UInt16 {
        get { UInt16(littleEndian: rawType) }
        set { rawType = newValue.littleEndian }
    }
    /// The operation's number (`op`); many numbers mean nothing.
    var operationNumber: UInt16 {
        get { UInt16(littleEndian: rawOperation) }
        set { rawOperation = newValue.littleEndian }
    }
    var flags: UInt32 {
        get { UInt32(littleEndian: rawFlags) }
        set { rawFlags = newValue.littleEndian }
    }
    /// The sender's room for what it receives on this connection (`buf_alloc`).
    var bufferBytes: UInt32 {
        get { UInt32(littleEndian: rawBufferBytes) }
        set { rawBufferBytes = newValue.littleEndian }
    }
    /// How much of what it received the sender has passed on, modulo 2^32 (`fwd_cnt`).
    var forwardedBytes: UInt32 {
        get { UInt32(littleEndian: rawForwardedBytes) }
        set { rawForwardedBytes = newValue.littleEndian }
    }

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
