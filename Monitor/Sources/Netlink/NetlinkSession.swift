public import LinuxCalls
import WireFormats

/// Requests to the kernel on a socket of its own, each with the answer that belongs to it. The thread's network namespace at its
/// beginning is the one that it acts on.
///
/// The kernel answers while it is asked, so nothing here ever waits; an answer that is missing is EPROTO.
public struct NetlinkSession: ~Copyable {
    /// So many requests go into one datagram at most: their acknowledgements have room in the socket's buffer.
    public static let maximumRequests = 128

    private let socket: NetlinkSocket
    private var sequence: UInt32 = 0

    public init(_ family: NetlinkFamily = .route) throws(LinuxError) { socket = try NetlinkSocket(family) }

    /// Readable when the kernel has something to say, to those sessions that have asked to be told.
    public var descriptor: Int32 { socket.descriptor.number }

    /// What the kernel tells by itself. Never waits.
    /// - Throws: EAGAIN when there is nothing, ENOBUFS when some has been lost.
    public func hear() throws(LinuxError) -> NetlinkMessages { NetlinkMessages(try socket.receive()) }

    /// Has a change made.
    /// - Throws: the kernel's own error; nothing has changed then.
    public mutating func perform(_ request: NetlinkRequest) throws(LinuxError) {
        if let failure = try ask(request, [.request, .acknowledge]).failure() { throw failure }
    }

    /// Has changes made one right after the other: they reach the kernel in one datagram, so nothing of this process comes between
    /// them. The kernel goes on after one that fails.
    /// - Returns: for each, in their order, the error that it met, or nil.
    /// - Throws: E2BIG for more than `maximumRequests`, and what keeps all of them from the kernel.
    public mutating func performAll(_ requests: [NetlinkRequest]) throws(LinuxError) -> [LinuxError?] {
        guard requests.count <= Self.maximumRequests else { throw .tooLong }
        var failures = [LinuxError?](repeating: nil, count: requests.count)
        guard !requests.isEmpty else { return failures }
        var datagram = LittleEndianWriter()
        let first = sequence &+ 1
        for request in requests {
            sequence &+= 1
            request.encode(into: &datagram, [.request, .acknowledge], sequence: sequence)
        }
        try socket.send(datagram.bytes)
        var missing = requests.count
        while missing > 0 {
            var messages = try answer()
            while let message = try messages.next() {
                let index = Int(message.sequence &- first)
                guard message.type == NetlinkMessage.error, index < failures.count else { continue }
                failures[index] = try message.failure()
                missing -= 1
            }
        }
        return failures
    }

    /// Has changes of one subsystem of netfilter made in one step: all of them, or none.
    ///
    /// Source: Linux `linux/netfilter/nfnetlink.h`.
    /// - Throws: the first error that one of them met; nothing has changed then.
    public mutating func performTogether(_ requests: [NetlinkRequest], of subsystem: UInt8) throws(LinuxError) {
        var datagram = LittleEndianWriter()
        func add(_ request: NetlinkRequest, _ flags: NetlinkFlags) {
            sequence &+= 1
            request.encode(into: &datagram, flags, sequence: sequence)
        }
        // NFNL_MSG_BATCH_BEGIN and NFNL_MSG_BATCH_END, which not every kernel acknowledges; struct nfgenmsg: family, version (1 byte
        // each), subsystem (2, in network order).
        func edge(_ type: UInt16) -> NetlinkRequest {
            var request = NetlinkRequest(type)
            request.body.writeBytes([0, 0, 0, subsystem])
            return request
        }
        add(edge(0x10), .request)
        let first = sequence &+ 1
        for request in requests { add(request, [.request, .acknowledge]) }
        add(edge(0x11), .request)
        try socket.send(datagram.bytes)
        var missing = requests.count
        while missing > 0 {
            var messages = try answer()
            while let message = try messages.next() {
                guard message.type == NetlinkMessage.error else { continue }
                if let failure = try message.failure() { throw failure }
                if Int(message.sequence &- first) < requests.count { missing -= 1 }
            }
        }
    }

    /// Asks for one thing.
    /// - Throws: the kernel's own error: ENODEV or ENOENT when it is not there.
    public mutating func get(_ request: NetlinkRequest) throws(LinuxError) -> NetlinkMessage {
        let message = try ask(request, .request)
        guard message.type == NetlinkMessage.error else { return message }
        throw try message.failure() ?? .protocolError
    }

    /// The first answer, whatever it is.
    private mutating func ask(_ request: NetlinkRequest, _ flags: NetlinkFlags) throws(LinuxError) -> NetlinkMessage {
        try send(request, flags)
        while true {
            var messages = try answer()
            while let message = try messages.next() {
                if message.sequence == sequence { return message }
            }
        }
    }

    /// Asks for all of a kind, and again when they changed while they were listed.
    /// - Throws: EBUSY when they never stop changing, and the kernel's own errors.
    public mutating func dump(_ request: NetlinkRequest) throws(LinuxError) -> [NetlinkMessage] {
        for _ in 0..<32 {
            if let messages = try dumpOnce(request) { return messages }
        }
        throw .busy
    }

    /// - Returns: nil when they changed while they were listed.
    private mutating func dumpOnce(_ request: NetlinkRequest) throws(LinuxError) -> [NetlinkMessage]? {
        try send(request, [.request, .dump])
        var all: [NetlinkMessage] = []
        var isWhole = true
        while true {
            var messages = try answer()
            while let message = try messages.next() {
                guard message.sequence == sequence else { continue }
                if message.flags.contains(.interrupted) { isWhole = false }
                guard message.type == NetlinkMessage.done || message.type == NetlinkMessage.error else {
                    all.append(message)
                    continue
                }
                if let failure = try message.failure() { throw failure }
                return isWhole ? all : nil
            }
        }
    }

    private mutating func send(_ request: NetlinkRequest, _ flags: NetlinkFlags) throws(LinuxError) {
        sequence &+= 1
        var datagram = LittleEndianWriter()
        request.encode(into: &datagram, flags, sequence: sequence)
        try socket.send(datagram.bytes)
    }

    private func answer() throws(LinuxError) -> NetlinkMessages {
        do throws(LinuxError) { return NetlinkMessages(try socket.receive()) } catch {
            throw error == .tryAgain ? .protocolError : error
        }
    }
}
