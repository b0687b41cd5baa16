import Foundation
import Glibc
import Synchronization

/// A request as a server sees it.
struct ServerRequest: Sendable {
    let method: String
    let target: String
    /// The names in lower case.
    let headers: [String: String]
    let body: [UInt8]

    var path: String { String(target.prefix { $0 != "?" }) }
}

/// One connection to a client, on which a test may answer whatever it likes.
final class ServerConnection: Sendable {
    let socket: Int32
    init(_ socket: Int32) { self.socket = socket }

    func send(_ bytes: [UInt8]) {
        var sent = 0
        while sent < bytes.count {
            // SAFETY: the kernel reads only inside the array, during the call.
            let count = unsafe bytes.withUnsafeBytes {
                unsafe Glibc.send(
                    socket, $0.baseAddress.map { unsafe $0 + sent }, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return }
            sent += count
        }
    }

    func send(_ text: String) { send(Array(text.utf8)) }

    /// A whole answer.
    func answer(_ status: Int, _ headers: [String: String] = [:], _ body: [UInt8] = [], isHead: Bool = false) {
        var text = "HTTP/1.1 \(status) X\r\n"
        for (name, value) in headers { text += "\(name): \(value)\r\n" }
        if headers["Content-Length"] == nil { text += "Content-Length: \(body.count)\r\n" }
        send(Array((text + "\r\n").utf8) + (isHead ? [] : body))
    }

    func answer(_ status: Int, json: String, _ headers: [String: String] = [:]) {
        answer(status, headers.merging(["Content-Type": "application/json"]) { $1 }, Array(json.utf8))
    }

    /// Waits until the client closes its side.
    func waitForClose() {
        var byte: UInt8 = 0
        // SAFETY: the kernel writes one byte, during the call.
        while unsafe recv(socket, &byte, 1, 0) > 0 {}
    }
}

/// A server on a free port of this machine that answers each request as the test says, and remembers all.
///
/// It closes connections that begin with TLS, so that a client sees at once that it speaks none.
final class LoopbackServer: Sendable {
    enum Next { case keep, close }
    typealias Handler = @Sendable (ServerRequest, ServerConnection) -> Next

    let port: UInt16
    private let listener: Int32
    private struct State {
        var requests: [ServerRequest] = []
        var open: Set<Int32> = []
        var isEnded = false
    }
    private let state = Mutex(State())

    init(_ handler: @escaping Handler) throws {
        (listener, port) = try boundSocket()
        guard listen(listener, 64) == 0 else { throw NoSocket() }
        let listener = listener
        Thread.detachNewThread { [weak self] in
            while true {
                let connection = accept(listener, nil, nil)
                if connection < 0 && errno == EINTR { continue }
                guard connection >= 0 else { break }
                guard let self, self.state.withLock({ $0.isEnded ? false : $0.open.insert(connection).inserted }) else {
                    Glibc.close(connection)
                    break
                }
                Thread.detachNewThread { [self] in
                    serve(connection, handler)
                    _ = state.withLock { $0.open.remove(connection) }
                    Glibc.close(connection)
                }
            }
            Glibc.close(listener)
        }
    }

    var host: String { "127.0.0.1:\(port)" }
    var requests: [ServerRequest] { state.withLock { $0.requests } }
    func requests(_ method: String, _ path: String) -> [ServerRequest] {
        requests.filter { $0.method == method && $0.path == path }
    }

    /// Closes everything; threads that wait for a client end.
    func end() {
        state.withLock { state in
            // Once only: the numbers soon belong to others.
            if state.isEnded { return }
            state.isEnded = true
            for connection in state.open { _ = shutdown(connection, Int32(SHUT_RDWR)) }
            _ = shutdown(listener, Int32(SHUT_RDWR))
        }
    }

    private func serve(_ connection: Int32, _ handler: Handler) {
        let client = ServerConnection(connection)
        var pending: [UInt8] = []
        while let request = Self.receive(connection, &pending) {
            state.withLock { $0.requests.append(request) }
            if handler(request, client) == .close { break }
        }
        _ = shutdown(connection, Int32(SHUT_RDWR))
    }

    private static func receive(_ socket: Int32, _ pending: inout [UInt8]) -> ServerRequest? {
        let separator = Array("\r\n\r\n".utf8)
        func more(_ pending: inout [UInt8]) -> Bool {
            var piece = [UInt8](repeating: 0, count: 1 << 16)
            // SAFETY: the kernel writes only inside the array, during the call.
            let count = unsafe piece.withUnsafeMutableBytes { unsafe recv(socket, $0.baseAddress, $0.count, 0) }
            guard count > 0 else { return false }
            pending += piece[..<count]
            return true
        }
        var headEnd = pending.firstRange(of: separator)
        while headEnd == nil {
            guard pending.first != 0x16, more(&pending), pending.first != 0x16 else { return nil }
            headEnd = pending.firstRange(of: separator)
        }
        guard let headEnd else { return nil }
        let lines = String(decoding: pending[..<headEnd.lowerBound], as: UTF8.self).split(separator: "\r\n")
        pending.removeFirst(headEnd.upperBound)
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            headers[line[..<colon].lowercased()] = line[line.index(after: colon)...].drop { $0 == " " }.description
        }
        let length = headers["content-length"].flatMap { Int($0) } ?? 0
        while pending.count < length { guard more(&pending) else { return nil } }
        let first = lines.first?.split(separator: " ") ?? []
        guard first.count == 3 else { return nil }
        let body = Array(pending[..<length])
        pending.removeFirst(length)
        return ServerRequest(method: String(first[0]), target: String(first[1]), headers: headers, body: body)
    }
}

private struct NoSocket: Error {}

/// A TCP socket with a port of its own on loopback, which it does not listen at yet.
private func boundSocket() throws -> (descriptor: Int32, port: UInt16) {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    // SAFETY: the kernel reads and fills the address during the calls.
    let result = unsafe withUnsafeMutablePointer(to: &address) { address in
        unsafe address.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
            let bound = unsafe bind(descriptor, address, length)
            return unsafe bound == 0 ? getsockname(descriptor, address, &length) : bound
        }
    }
    guard result == 0 else { throw NoSocket() }
    return (descriptor, UInt16(bigEndian: address.sin_port))
}

/// A port of loopback that nobody listens at, and that nobody else gets for as long as this lives.
final class SilentPort {
    private let descriptor: Int32
    let host: String

    init() throws {
        let (descriptor, port) = try boundSocket()
        self.descriptor = descriptor
        host = "127.0.0.1:\(port)"
    }

    deinit { Glibc.close(descriptor) }
}
