public import LinuxCalls

/// Serves the API on a Unix socket. Belongs to the thread of its loop.
///
/// One request is carried out at a time, in the order in which they are complete. A client that sends on before its answer
/// is taken waits in the kernel's buffers. Memory is kept for one large request or answer at a time: whoever else has one
/// waits, and who holds the others up for longer than `patienceMilliseconds` is sent away.
public final class APIServer: EventHandler {
    /// As many clients at once as the original.
    static let maximumConnections = 10
    private static let listenerToken: UInt32 = 0
    private static let timerToken: UInt32 = .max
    /// What every client may have kept: any request of a few fields.
    private static let pieceBytes = 2048

    private let loop: EventLoop
    private let listener: FileDescriptor
    private let parser: HTTPRequestParser
    private let answer: (HTTPRequest, PassedDescriptor) -> HTTPResponse
    private let takesDescriptors: Bool
    private let patienceNanoseconds: UInt64
    private let timer: TimerFile
    /// The client for which more than a piece is kept, and since when.
    private var holder: Connection?
    private var heldSince: UInt64 = 0
    /// Whether clients have been served since the program's code was let go of.
    private var hasServed = false
    private static let restNanoseconds: UInt64 = 100_000_000
    private var connections: [Connection?] = Array(repeating: nil, count: maximumConnections)

    /// One client.
    private final class Connection {
        let descriptor: FileDescriptor
        let passed = PassedDescriptor()
        var registration: EventRegistration?
        var input: [UInt8] = []
        var output: [UInt8] = []
        var sentBytes = 0
        var closesWhenSent = false
        /// The client has been told to go on with its body.
        var hasContinued = false
        /// Nothing is read of it until there is room.
        var isWaiting = false

        init(_ descriptor: consuming FileDescriptor) { self.descriptor = descriptor }

        /// Not at its end, or with something of the last answer still to be sent.
        var goesOn: Bool { !closesWhenSent || !output.isEmpty }
    }

    /// - Parameter listener: non-blocking.
    public convenience init(
        _ listener: consuming FileDescriptor, loop: EventLoop, maximumBodyBytes: Int,
        patienceMilliseconds: UInt64 = 5000, answer: @escaping (HTTPRequest) -> HTTPResponse
    ) throws(LinuxError) {
        try self.init(
            listener, loop: loop, maximumBodyBytes: maximumBodyBytes, patienceMilliseconds: patienceMilliseconds,
            takesDescriptors: false
        ) { request, _ in answer(request) }
    }

    /// - Parameter takesDescriptors: whether requests may bring an open file each, which is closed when the answer does not
    ///   take it.
    public init(
        _ listener: consuming FileDescriptor, loop: EventLoop, maximumBodyBytes: Int,
        patienceMilliseconds: UInt64 = 5000, takesDescriptors: Bool,
        answer: @escaping (HTTPRequest, PassedDescriptor) -> HTTPResponse
    ) throws(LinuxError) {
        self.takesDescriptors = takesDescriptors
        self.listener = listener
        self.loop = loop
        parser = HTTPRequestParser(maximumBodyBytes: maximumBodyBytes)
        self.answer = answer
        patienceNanoseconds = patienceMilliseconds * 1_000_000
        timer = try TimerFile()
        _ = try loop.add(timer.descriptor.number, .readable, handler: self, token: Self.timerToken)
        _ = try loop.add(self.listener.number, .readable, handler: self, token: Self.listenerToken)
    }

    public func handleEvent(token: UInt32, readiness: Readiness) {
        if token == Self.listenerToken { return accept() }
        if token == Self.timerToken { return handleTimer() }
        if !hasServed {
            hasServed = true
            arm()
        }
        let index = Int(token) - 1
        guard index < connections.count, let connection = connections[index] else { return }
        // Its end is told even when nothing else is wanted of it.
        let isGone = connection.isWaiting && !readiness.isDisjoint(with: [.hangUp, .error])
        if isGone || !serve(connection, readiness) { close(index) }
    }

    private func accept() {
        while let client = try? StreamSocket.accept(listener.number) {
            guard let index = connections.firstIndex(where: { $0 == nil }) else {
                // Nobody waits for a client that may never go: the answer fits, or it is lost.
                _ = try? write(client.number, Array(Self.busy.utf8)[...])
                continue
            }
            let connection = Connection(client)
            guard
                let registration = try? loop.add(
                    connection.descriptor.number, .readable, handler: self, token: UInt32(index + 1))
            else { continue }
            connection.registration = registration
            connections[index] = connection
        }
    }

    private static let busy =
        "HTTP/1.1 503 \r\nServer: Firecracker API\r\nConnection: close\r\nContent-Type: application/json\r\n"
        + "Content-Length: 40\r\n\r\n{ \"error\": \"Too many open connections.\" }"

    private func close(_ index: Int) {
        guard let connection = connections[index] else { return }
        if let registration = connection.registration {
            loop.remove(registration, connection.descriptor.number)
        }
        connections[index] = nil
        release(connection)
    }

    // MARK: Room for one

    /// Whether more may be kept for this client; else it waits.
    private func takeRoom(_ connection: Connection) -> Bool {
        if holder === connection { return true }
        if holder == nil {
            holder = connection
            heldSince = Clock.monotonic.nanoseconds()
            return true
        }
        let isFirst = !isAwaited
        connection.isWaiting = true
        watch(connection, [])
        if isFirst { arm() }
        return false
    }

    private func arm() {
        var nanoseconds: UInt64 = hasServed ? Self.restNanoseconds : 0
        if isAwaited, !hasServed {
            let held = Clock.monotonic.nanoseconds() &- heldSince
            nanoseconds = held < patienceNanoseconds ? patienceNanoseconds - held + 1 : 1
        }
        if nanoseconds > 0 { try? timer.arm(firstNanoseconds: nanoseconds) }
    }

    private var isAwaited: Bool { connections.contains { $0?.isWaiting == true } }

    /// Lets go of what it took to serve clients, and sends away who has kept the others waiting too long.
    private func handleTimer() {
        timer.drain()
        if hasServed {
            hasServed = false
            releaseProgramCode()
        }
        guard let holder, isAwaited else { return }
        if Clock.monotonic.nanoseconds() &- heldSince < patienceNanoseconds { return arm() }
        if let index = connections.firstIndex(where: { $0 === holder }) { close(index) }
    }

    /// Gives its room to those who wait; the first that comes takes it.
    private func release(_ connection: Connection) {
        guard holder === connection else { return }
        holder = nil
        for case let other? in connections where other.isWaiting {
            other.isWaiting = false
            watch(other, .readable)
        }
    }

    private func watch(_ connection: Connection, _ interest: Readiness) {
        guard let registration = connection.registration else { return }
        try? loop.modify(registration, connection.descriptor.number, interest)
    }

    /// - Returns: whether the connection goes on.
    private func serve(_ connection: Connection, _ readiness: Readiness) -> Bool {
        do throws(LinuxError) {
            if !connection.output.isEmpty {
                guard try send(connection) else { return true }
                if connection.closesWhenSent { return false }
                watch(connection, .readable)
                // What came before may hold more requests.
                guard try answerAll(connection) else { return connection.goesOn }
            }
            return try receive(connection)
        } catch { return false }
    }

    /// Reads what is there, and answers it.
    private func receive(_ connection: Connection) throws(LinuxError) -> Bool {
        while connection.input.count < parser.maximumRequestBytes {
            let isLarge = connection.input.count >= Self.pieceBytes
            if isLarge {
                guard takeRoom(connection) else { return true }
                // At once, so that it does not move again and again.
                connection.input.reserveCapacity(parser.maximumRequestBytes + Self.pieceBytes)
            }
            let count: Int
            do throws(LinuxError) {
                count = try take(
                    from: connection,
                    maximumBytes: isLarge ? Self.pieceBytes : Self.pieceBytes - connection.input.count)
            } catch {
                if error == .tryAgain { return true }
                throw error
            }
            if count == 0 { return false }
            guard try answerAll(connection) else { return connection.goesOn }
        }
        return true
    }

    private func take(from connection: Connection, maximumBytes: Int) throws(LinuxError) -> Int {
        let number = connection.descriptor.number
        if takesDescriptors {
            return try LinuxCalls.receive(
                over: number, appendingTo: &connection.input, maximumBytes: maximumBytes, connection.passed)
        }
        return try read(number, appendingTo: &connection.input, maximumBytes: maximumBytes)
    }

    /// Answers the requests that are complete.
    /// - Returns: false when an answer could not be sent at once, or was the last.
    private func answerAll(_ connection: Connection) throws(LinuxError) -> Bool {
        while true {
            switch parser.parse(connection.input) {
            case .incomplete(let expectsContinue):
                if expectsContinue, !connection.hasContinued {
                    connection.hasContinued = true
                    HTTPResponse(status: 100).write(to: &connection.output)
                    return try flush(connection)
                }
                return true
            case .request(let request, let byteCount):
                if byteCount == connection.input.count {
                    // Gives a large body's memory back.
                    connection.input = []
                } else {
                    connection.input = Array(connection.input[byteCount...])
                }
                connection.hasContinued = false
                if connection.input.count < Self.pieceBytes { release(connection) }
                answer(request, connection.passed).write(to: &connection.output)
                _ = connection.passed.take()
            case .refused(let message):
                HTTPResponse.refusal(message).write(to: &connection.output)
                connection.input = []
                connection.closesWhenSent = true
            }
            guard try flush(connection) else { return false }
        }
    }

    /// - Returns: whether all is sent and the connection goes on.
    private func flush(_ connection: Connection) throws(LinuxError) -> Bool {
        guard try send(connection) else {
            // Who takes no answers while another does not either has to ask again.
            if connection.output.count - connection.sentBytes > Self.pieceBytes, holder != nil, holder !== connection {
                connection.output = []
                connection.closesWhenSent = true
                return false
            }
            if connection.output.count > Self.pieceBytes { _ = takeRoom(connection) }
            watch(connection, .writable)
            // Its end, if it is one, comes when the rest is sent.
            return false
        }
        return !connection.closesWhenSent
    }

    /// - Returns: whether all is sent.
    private func send(_ connection: Connection) throws(LinuxError) -> Bool {
        while connection.sentBytes < connection.output.count {
            do throws(LinuxError) {
                connection.sentBytes += try write(
                    connection.descriptor.number, connection.output[connection.sentBytes...])
            } catch {
                if error == .tryAgain { return false }
                throw error
            }
        }
        connection.output = []
        connection.sentBytes = 0
        if connection.input.count < Self.pieceBytes { release(connection) }
        return true
    }
}
