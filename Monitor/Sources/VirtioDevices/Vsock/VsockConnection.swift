import LinuxCalls

/// How far a connection has come.
enum VsockPhase: UInt8, Sendable {
    /// A host program has connected; its `CONNECT port` is awaited.
    case handshake
    /// The guest has been asked; its answer is awaited.
    case requested
    case established
    /// The guest is done with it; what it sent still waits for the host program.
    case lingering
    /// The host program is gone and the guest knows; its reset is awaited.
    case closing
}

/// Control packets that a connection owes the guest.
struct VsockDebts: OptionSet, Sendable {
    let rawValue: UInt8
    static let request = VsockDebts(rawValue: 1)
    static let response = VsockDebts(rawValue: 2)
    static let creditUpdate = VsockDebts(rawValue: 4)
    static let creditRequest = VsockDebts(rawValue: 8)
    static let shutdown = VsockDebts(rawValue: 16)
}

/// One stream between a guest port and a Unix socket.
///
/// Its socket is watched edge-triggered, so `isReadable` is the memory of what was reported.
struct VsockConnection: ~Copyable {
    var phase: VsockPhase
    var hostPort: UInt32
    var guestPort: UInt32
    /// Nil once the host program is gone.
    var socket: FileDescriptor?
    var registration: EventRegistration?
    var credit: VsockCredit
    /// What the guest sent and the host program's socket has no room for.
    var waiting: ByteBacklog

    var debts: VsockDebts = []
    /// What the guest has said it will not do any more.
    var guestShutdown: VsockShutdown = []
    /// What the host program does not do any more, in the words of the packet to the guest.
    var hostShutdown: VsockShutdown = []
    /// The socket may have bytes, an end or an error to read.
    var isReadable = false
    /// The socket's both directions are ended.
    var isHungUp = false
    /// The socket is watched for room.
    var isWatchedForRoom = false
    /// The guest was asked for credit and has not answered.
    var isCreditRequested = false

    /// When to give up waiting, on the monotonic clock; zero: never.
    var deadlineNanoseconds: UInt64 = 0
    /// The next in line to send to the guest, and whether this one stands in the line.
    var nextReady: Int32 = -1
    var isReady = false
    /// The next connection of the same bucket.
    var nextInBucket: Int32 = -1

    init(
        phase: VsockPhase, hostPort: UInt32, guestPort: UInt32, socket: consuming FileDescriptor, bufferBytes: Int
    ) {
        self.phase = phase
        self.hostPort = hostPort
        self.guestPort = guestPort
        self.socket = consume socket
        credit = VsockCredit(bufferBytes: UInt32(bufferBytes))
        waiting = ByteBacklog(capacity: bufferBytes)
    }

    /// The descriptor to call the kernel with; -1, which it refuses, when there is none.
    @inline(__always)
    var socketNumber: Int32 {
        switch socket {
        case .some(let socket): socket.number
        case .none: -1
        }
    }

    /// Whether there is something to read for the guest and it may be sent.
    @inline(__always)
    var mayRead: Bool {
        isReadable && phase == .established && !guestShutdown.contains(.receive) && !hostShutdown.contains(.send)
    }

    /// Whether a turn of sending to the guest would do anything.
    @inline(__always)
    var hasWork: Bool { !debts.isEmpty || (mayRead && (credit.sendableBytes > 0 || !isCreditRequested)) }
}
