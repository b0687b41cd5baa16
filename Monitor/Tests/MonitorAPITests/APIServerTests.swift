import LinuxCalls
import Testing

@testable import MonitorAPI

@Suite struct APIServerTests {
    /// A server on a socket of its own, driven by hand.
    private final class Bench {
        let path: String
        let loop: EventLoop
        let server: APIServer

        init(
            patienceMilliseconds: UInt64 = 60_000, answer: @escaping (HTTPRequest) -> HTTPResponse = { .fault($0.path) }
        ) throws {
            path = "/tmp/swiftlet-api-\(currentThreadNumber())-\(Clock.monotonic.nanoseconds())"
            loop = try EventLoop()
            server = try APIServer(
                UnixSocket.listen(path), loop: loop, maximumBodyBytes: 51_200,
                patienceMilliseconds: patienceMilliseconds, answer: answer)
        }

        deinit { try? removeFile(path) }

        func client() throws -> FileDescriptor { try UnixSocket.connect(path) }

        func turn(_ count: Int = 4) { for _ in 0..<count { loop.runOnce(timeoutMilliseconds: 0) } }
    }

    private func send(_ text: String, to client: borrowing FileDescriptor) throws {
        _ = try write(client.number, Array(text.utf8)[...])
    }

    /// What has come; nil at the end of the connection.
    private func receive(_ client: borrowing FileDescriptor) -> String? {
        var bytes: [UInt8] = []
        while let count = try? read(client.number, appendingTo: &bytes, maximumBytes: 65_536) {
            if count == 0 { return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self) + "<end>" }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private func answer(_ path: String) -> String {
        let body = #"{"fault_message":"\#(path)"}"#
        return "HTTP/1.1 400 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n"
            + "Content-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }

    @Test func `requests sent at once are answered in order, and the connection stays`() throws {
        let bench = try Bench()
        let client = try bench.client()
        try send(
            "GET /a HTTP/1.1\r\n\r\nPUT /b HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}GET /c HTTP/1.1\r\n\r\n", to: client)
        bench.turn()
        #expect(receive(client) == answer("/a") + answer("/b") + answer("/c"))
        try send("GET /d HTTP/1.1\r\n\r\n", to: client)
        bench.turn()
        #expect(receive(client) == answer("/d"))
    }

    @Test func `a request may come byte by byte`() throws {
        let bench = try Bench()
        let client = try bench.client()
        for character in "GET /slow HTTP/1.1\r\n\r\n" {
            try send(String(character), to: client)
            bench.turn(2)
        }
        #expect(receive(client) == answer("/slow"))
    }

    @Test func `a client that goes in the middle takes nothing with it`() throws {
        let bench = try Bench()
        do {
            let client = try bench.client()
            try send("PUT /mmds HTTP/1.1\r\nContent-Length: 50000\r\n\r\n{", to: client)
            bench.turn()
        }
        bench.turn()
        let client = try bench.client()
        try send("GET /next HTTP/1.1\r\n\r\n", to: client)
        bench.turn()
        #expect(receive(client) == answer("/next"))
    }

    @Test func `a body too large is refused before it comes, and the connection ends`() throws {
        let bench = try Bench()
        let client = try bench.client()
        try send("PUT /mmds HTTP/1.1\r\nContent-Length: 51201\r\n\r\n", to: client)
        bench.turn()
        let text = receive(client) ?? ""
        #expect(text.contains("Request payload with size 51201 is larger than the limit of 51200 allowed by server."))
        #expect(text.contains("Connection: close") && text.hasSuffix("<end>"))
    }

    @Test func `a client that waits for leave gets it once`() throws {
        let bench = try Bench()
        let client = try bench.client()
        try send("PUT /x HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n", to: client)
        bench.turn()
        #expect(receive(client)?.hasPrefix("HTTP/1.1 100 ") == true)
        try send("{}", to: client)
        bench.turn()
        #expect(receive(client) == answer("/x"))
    }

    @Test func `the eleventh client is told that there are ten`() throws {
        let bench = try Bench()
        var clients: [Int32] = []
        for _ in 0..<10 { clients.append(try bench.client().release()) }
        bench.turn()
        let late = try bench.client()
        bench.turn()
        #expect(receive(late)?.hasPrefix("HTTP/1.1 503 ") == true)
        _ = FileDescriptor(owning: clients.removeLast())
        bench.turn()
        let next = try bench.client()
        try send("GET /free HTTP/1.1\r\n\r\n", to: next)
        bench.turn()
        #expect(receive(next) == answer("/free"))
        for client in clients { _ = FileDescriptor(owning: client) }
    }

    @Test func `a client that takes no answers is asked no more questions`() throws {
        var answered = 0
        let bench = try Bench { _ in
            answered += 1
            return .fault(String(repeating: "x", count: 40_000))
        }
        let client = try bench.client()
        var sent = 0
        while sent < 2000, (try? send("GET /a HTTP/1.1\r\n\r\n", to: client)) != nil {
            sent += 1
            bench.turn(2)
        }
        // What fits in the socket's buffers and one answer more; the rest waits with the client.
        #expect(answered < 20)
        var total = 0
        for _ in 0..<10_000 where total < sent * 40_000 {
            total += receive(client)?.utf8.count ?? 0
            bench.turn(2)
        }
        #expect(answered == sent)
    }

    private static let large = "PUT /large HTTP/1.1\r\nContent-Length: 50000\r\n\r\n"

    @Test func `one large request is kept at a time, and small ones do not wait for it`() throws {
        let bench = try Bench()
        let first = try bench.client()
        let second = try bench.client()
        let third = try bench.client()
        try send(Self.large + String(repeating: " ", count: 25_000), to: first)
        bench.turn()
        try send(Self.large + String(repeating: " ", count: 50_000), to: second)
        try send("GET /small HTTP/1.1\r\n\r\n", to: third)
        bench.turn(20)
        #expect(receive(third) == answer("/small"))
        #expect(receive(second) == "")
        try send(String(repeating: " ", count: 25_000), to: first)
        bench.turn(20)
        #expect(receive(first) == answer("/large"))
        #expect(receive(second) == answer("/large"))
    }

    @Test func `who holds back a large request goes when another has waited too long`() throws {
        let bench = try Bench(patienceMilliseconds: 30)
        let first = try bench.client()
        let second = try bench.client()
        try send(Self.large + String(repeating: " ", count: 25_000), to: first)
        bench.turn(20)
        sleep(nanoseconds: 60_000_000)
        bench.turn()
        #expect(receive(first) == "")
        try send(Self.large + String(repeating: " ", count: 50_000), to: second)
        for _ in 0..<20 {
            sleep(nanoseconds: 10_000_000)
            bench.turn()
        }
        #expect(receive(first) == nil)
        #expect(receive(second) == answer("/large"))
    }

    @Test func `who waits and goes leaves its place`() throws {
        let bench = try Bench()
        let first = try bench.client()
        try send(Self.large + String(repeating: " ", count: 25_000), to: first)
        bench.turn(20)
        for _ in 0..<30 {
            let other = try bench.client()
            try send(Self.large + String(repeating: " ", count: 3000), to: other)
            bench.turn()
        }
        bench.turn()
        let last = try bench.client()
        try send("GET /last HTTP/1.1\r\n\r\n", to: last)
        bench.turn()
        #expect(receive(last) == answer("/last"))
    }

    @Test func `of clients that take no answers one waits, and the others go`() throws {
        let bench = try Bench { _ in .fault(String(repeating: "x", count: 40_000)) }
        let first = try bench.client()
        let second = try bench.client()
        for client in [first.number, second.number] {
            _ = try write(client, Array(String(repeating: "GET /a HTTP/1.1\r\n\r\n", count: 30).utf8)[...])
            bench.turn(60)
        }
        let taken = receive(second) ?? ""
        #expect(taken.hasSuffix("<end>"))
        var total = 0
        for _ in 0..<100 {
            total += receive(first)?.utf8.count ?? 0
            bench.turn(2)
        }
        #expect(total > 30 * 40_000)
    }
}
