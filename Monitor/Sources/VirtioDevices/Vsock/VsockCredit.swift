/// Both directions' flow control of one connection. All counters are modulo 2^32.
///
/// Trust: `peerBufferBytes` and `peerForwardedBytes` are the guest's words. The worst they can do is to let us send what the
/// guest has no room for, or to stop us.
/// Source: virtio 1.3 §5.10.6.3.
struct VsockCredit: Equatable, Sendable {
    /// Our promise: so much may be under way or waiting here (`buf_alloc`).
    let bufferBytes: UInt32
    /// What the guest has sent.
    private(set) var receivedBytes: UInt32 = 0
    /// What of it has reached the host's socket (`fwd_cnt`).
    private(set) var forwardedBytes: UInt32 = 0
    /// The `fwd_cnt` that the guest knows.
    private(set) var toldForwardedBytes: UInt32 = 0

    private(set) var peerBufferBytes: UInt32 = 0
    private(set) var peerForwardedBytes: UInt32 = 0
    /// What we have sent to the guest.
    private(set) var sentBytes: UInt32 = 0

    init(bufferBytes: UInt32) { self.bufferBytes = bufferBytes }

    /// How much may be sent to the guest now.
    @inline(__always)
    var sendableBytes: UInt32 {
        let underWay = sentBytes &- peerForwardedBytes
        return underWay < peerBufferBytes ? peerBufferBytes &- underWay : 0
    }

    /// Takes the guest's words from a header.
    @inline(__always)
    mutating func learn(bufferBytes: UInt32, forwardedBytes: UInt32) {
        peerBufferBytes = bufferBytes
        // More forwarded than was ever sent is nonsense, and so is less than before.
        if sentBytes &- forwardedBytes <= sentBytes &- peerForwardedBytes { peerForwardedBytes = forwardedBytes }
    }

    /// Counts a payload of the guest; false when it is more than was promised.
    @inline(__always)
    mutating func receive(_ count: UInt32) -> Bool {
        let waiting = receivedBytes &- forwardedBytes
        guard count <= bufferBytes, waiting <= bufferBytes &- count else { return false }
        receivedBytes &+= count
        return true
    }

    @inline(__always)
    mutating func forward(_ count: UInt32) { forwardedBytes &+= count }

    @inline(__always)
    mutating func send(_ count: UInt32) { sentBytes &+= count }

    /// The guest is being told `forwardedBytes`.
    @inline(__always)
    mutating func tell() { toldForwardedBytes = forwardedBytes }

    /// Whether the guest should be told: it believes that less than half of the buffer is free, and it is wrong.
    @inline(__always)
    var isUpdateDue: Bool {
        toldForwardedBytes != forwardedBytes && receivedBytes &- toldForwardedBytes > bufferBytes / 2
    }
}
