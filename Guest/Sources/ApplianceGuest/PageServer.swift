public import AgentProtocol
import FileTransfer
public import LinuxCalls

/// Answers requests for pages, one after the other, on the loop's thread. What callers can cost is bounded: so many at once, so
/// many bytes, so many seconds.
public final class PageServer: EventHandler {
    private static let mostConnections = 16
    private static let patienceNanoseconds: UInt64 = 5_000_000_000

    private let listener: FileDescriptor
    private let loop: EventLoop
    private let answer: (HTTPRequest) -> HTTPResponse
    private var connections: [PageConnection] = []
    private var registration: EventRegistration?

    public init(
        on address: IPAddress, port: UInt16, loop: EventLoop, answer: @escaping (HTTPRequest) -> HTTPResponse
    ) throws(LinuxError) {
        listener = try TCPSocket.listen(on: Self.parts(of: address), port: port, backlog: Self.mostConnections)
        self.loop = loop
        self.answer = answer
        registration = try loop.add(listener.number, .readable, handler: self)
    }

    /// Answers nobody any more; the port is free once the last reference has gone.
    public func close() {
        if let registration { loop.remove(registration, listener.number) }
        registration = nil
        for connection in connections { connection.end() }
        connections = []
    }

    private static func parts(of address: IPAddress) -> (UInt8, UInt8, UInt8, UInt8) {
        guard address.bytes.count == 4 else { return (127, 0, 0, 1) }
        return (address.bytes[0], address.bytes[1], address.bytes[2], address.bytes[3])
    }

    public func handleEvent(token: UInt32, readiness: Readiness) {
        endSlow()
        while let socket = try? StreamSocket.accept(listener.number) {
            // One too many is closed as it is let go of.
            guard connections.count < Self.mostConnections else { continue }
            let connection = PageConnection(
                socket, deadline: Clock.monotonic.nanoseconds() &+ Self.patienceNanoseconds, loop: loop, answer: answer)
            connection.watch()
            connections.append(connection)
        }
    }

    /// To be called now and then: ends those that take too long.
    public func endSlow() {
        let now = Clock.monotonic.nanoseconds()
        for connection in connections where connection.deadline < now { connection.end() }
        connections.removeAll { $0.hasEnded }
    }
}

/// One caller: a request is read, an answer is written, and that is it.
private final class PageConnection: EventHandler {
    let deadline: UInt64
    private(set) var hasEnded = false
    private var socket: FileDescriptor?
    private var registration: EventRegistration?
    private let loop: EventLoop
    private let answer: (HTTPRequest) -> HTTPResponse
    private var received: [UInt8] = []
    private var unsent: ArraySlice<UInt8> = []

    init(
        _ socket: consuming FileDescriptor, deadline: UInt64, loop: EventLoop,
        answer: @escaping (HTTPRequest) -> HTTPResponse
    ) {
        number = socket.number
        self.socket = consume socket
        self.deadline = deadline
        self.loop = loop
        self.answer = answer
    }

    private let number: Int32

    func watch() {
        registration = try? loop.add(number, .readable, handler: self)
        if registration == nil { end() }
    }

    func end() {
        guard !hasEnded else { return }
        hasEnded = true
        if let registration { loop.remove(registration, number) }
        socket = nil
    }

    func handleEvent(token: UInt32, readiness: Readiness) {
        guard !hasEnded else { return }
        do throws(LinuxError) {
            if unsent.isEmpty { try receive() } else { try send() }
        } catch {
            if error != .tryAgain { end() }
        }
    }

    private func receive() throws(LinuxError) {
        let room = HTTPRequest.mostHeadBytes - received.count
        guard room > 0, try read(number, appendingTo: &received, maximumBytes: room) > 0 else { return end() }
        guard let request = HTTPRequest(received) else { return }
        let response: HTTPResponse
        var isHead = false
        switch request {
        case .malformed: response = HTTPResponse(.badRequest, "not understood\n")
        case .notAllowed: response = HTTPResponse(.notAllowed, "nothing can be changed here\n")
        case .page(_, let wantsHead):
            isHead = wantsHead
            response = answer(request)
        }
        unsent = response.encoded(isHead: isHead)[...]
        if let registration { try loop.modify(registration, number, .writable) }
        try send()
    }

    private func send() throws(LinuxError) {
        while !unsent.isEmpty { unsent.removeFirst(try write(number, unsent)) }
        // What the caller goes on to send is not waited for.
        shutDownSocket(number, 1)
        end()
    }
}
