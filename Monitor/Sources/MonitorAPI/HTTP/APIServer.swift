public import LinuxCalls

/// Serves the API on a Unix socket. Belongs to the thread of its loop.
///
/// One request is carried out at a time, in the order in which they are complete. A client that sends on before its answer
/// is taken waits in the kernel's buffers, so that each connection needs at most one request and one answer of memory.
public final class APIServer: EventHandler {
    /// As many clients at once as the original.
    static let maximumConnections = 10
    private static let listenerToken: UInt32 = 0
    private static let pieceBytes = 4096

    private let loop: EventLoop
    private let listener: FileDescriptor
    private let parser: HTTPRequestParser
    private let answer: (HTTPRequest) -> HTTPResponse
    private var connections: [Connection?] = Array(repeating: nil, count: maximumConnections)

    /// One client.
    private final class Connection {
        let descriptor: FileDescriptor
        var registration: EventRegistration?
        var input: [UInt8] = []
        var output: [UInt8] = []
        var sentBytes = 0
        var closesWhenSent = false
        /// The client has been told to go on with its body.
        var hasContinued = false

        init(_ descriptor: consuming FileDescriptor) { self.descriptor = descriptor }

        /// Not at its end, or with something of the last answer still to be sent.
        var goesOn: Bool { !closesWhenSent || !output.isEmpty }
    }

    /// - Parameter listener: non-blocking.
    public init(
        _ listener: consuming FileDescriptor, loop: EventLoop, maximumBodyBytes: Int,
        answer: @escaping (HTTPRequest) -> HTTPResponse
    ) throws(LinuxError) {
        self.listener = listener
        self.loop = loop
        parser = HTTPRequestParser(maximumBodyBytes: maximumBodyBytes)
        self.answer = answer
        _ = try loop.add(self.listener.number, .readable, handler: self, token: Self.listenerToken)
    }

    public func handleEvent(token: UInt32, readiness: Readiness) {
        if token == Self.listenerToken { return accept() }
        let index = Int(token) - 1
        guard index < connections.count, let connection = connections[index] else { return }
        if !serve(connection, readiness) { close(index) }
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
    }

    /// - Returns: whether the connection goes on.
    private func serve(_ connection: Connection, _ readiness: Readiness) -> Bool {
        do throws(LinuxError) {
            if !connection.output.isEmpty {
                guard try send(connection) else { return true }
                if connection.closesWhenSent { return false }
                if let registration = connection.registration {
                    try loop.modify(registration, connection.descriptor.number, .readable)
                }
                // What came before may hold more requests.
                guard try answerAll(connection) else { return connection.goesOn }
            }
            return try receive(connection)
        } catch { return false }
    }

    /// Reads what is there, and answers it.
    private func receive(_ connection: Connection) throws(LinuxError) -> Bool {
        while connection.input.count < parser.maximumRequestBytes {
            let count: Int
            do throws(LinuxError) {
                count = try read(
                    connection.descriptor.number, appendingTo: &connection.input, maximumBytes: Self.pieceBytes)
            } catch {
                if error == .tryAgain { return true }
                throw error
            }
            if count == 0 { return false }
            guard try answerAll(connection) else { return connection.goesOn }
        }
        return true
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
                    connection.input.removeFirst(byteCount)
                }
                connection.hasContinued = false
                answer(request).write(to: &connection.output)
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
            if let registration = connection.registration {
                try loop.modify(registration, connection.descriptor.number, .writable)
            }
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
        return true
    }
}
