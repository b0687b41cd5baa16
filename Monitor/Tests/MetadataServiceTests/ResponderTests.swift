import APITestSupport
import Foundation
import Testing

@testable import MetadataService

@Suite struct ResponderTests {
    /// Asks on a connection of its own; the status, and what is said.
    func ask(_ station: MetadataStation, _ request: String) -> String {
        var client = MetadataClient(port: UInt16.random(in: 2000...60_000))
        guard client.connect(station) else { return "no connection" }
        let answer = client.ask(station, request)
        client.say(station, flags: 4)
        let parts = answer.split(separator: "\r\n\r\n", maxSplits: 1, omittingEmptySubsequences: false)
        // As there: tokens alone are said to be text.
        let isToken = request.hasPrefix("PUT") && answer.contains(" 200 ")
        #expect(answer.contains("Content-Type: \(isToken ? "text/plain" : "application/json")\r\n"))
        return "\(answer.split(separator: " ")[1]) \(parts.count > 1 ? String(parts[1]) : "")"
    }

    func get(_ path: String, _ fields: String...) -> String {
        "GET \(path) HTTP/1.1\r\n\(fields.map { $0 + "\r\n" }.joined())\r\n"
    }

    @Test(arguments: [
        ("/", "200 a/b~\nage\nempty/\nlist\nname/"), ("/name", "200 first\nsecond"), ("/name/", "200 first\nsecond"),
        ("//name//first", "200 John"), ("/list/0", "200 x"), ("/list/1/y", "200 z"), ("/empty", "200 "),
        ("/a~1b~0", "200 odd"), ("/age", "501 Cannot retrieve value. The value has an unsupported type."),
        ("/list", "501 Cannot retrieve value. The value has an unsupported type."),
        ("/nowhere", "404 Resource not found: /nowhere."), ("/list/01", "404 Resource not found: /list/01."),
        ("/list/2", "404 Resource not found: /list/2."), ("/name/first/x", "404 Resource not found: /name/first/x."),
        ("http://169.254.169.254/name/first", "200 John"), ("http://169.254.169.254", "400 Invalid URI."),
    ]) func `values are told as EC2 does`(path: String, answer: String) {
        #expect(ask(MetadataStation(makeStore()), get(path)) == answer)
    }

    @Test func `values are told as JSON to those who accept it`() {
        let station = MetadataStation(makeStore())
        let accept = "Accept: application/json"
        #expect(ask(station, get("/name", accept)) == #"200 {"first":"John","second":"Doe"}"#)
        #expect(ask(station, get("/list/1", accept)) == #"200 {"y":"z"}"#)
        #expect(ask(station, get("/age", "aCCept:  application/json ")) == "200 43")
        #expect(ask(station, get("/name", "Accept: Application/JSON")) == "200 first\nsecond")
        #expect(ask(station, get("/name", "Accept: */*")) == "200 first\nsecond")
        let plain = MetadataStation(makeStore(), isPlain: true)
        #expect(ask(plain, get("/name", accept)) == "200 first\nsecond")
    }

    @Test func `version 2 wants a token, which is given out for a time`() {
        var station = MetadataStation(makeStore(), isTokenRequired: true)
        let none = "No MMDS token provided. Use `X-metadata-token` header to specify the session token."
        #expect(ask(station, get("/name")) == "401 " + none)
        #expect(ask(station, get("/name", "X-metadata-token: abc")) == "401 MMDS token not valid.")
        let token = ask(station, "PUT /latest/api/token HTTP/1.1\r\nX-metadata-token-ttl-seconds: 10\r\n\r\n")
        #expect(token.hasPrefix("200 ") && token.count == 36)
        let text = String(token.dropFirst(4))
        #expect(ask(station, get("/name/first", "X-metadata-token: \(text)")) == "200 John")
        #expect(ask(station, get("/name/first", "x-aws-ec2-metadata-token: \(text)")) == "200 John")
        for index in text.indices {
            var wrong = text
            wrong.replaceSubrange(index...index, with: text[index] == "A" ? "B" : "A")
            #expect(ask(station, get("/name/first", "X-metadata-token: \(wrong)")) == "401 MMDS token not valid.")
        }
        let other = MetadataStation(makeStore(), isTokenRequired: true)
        #expect(ask(other, get("/name/first", "X-metadata-token: \(text)")) == "401 MMDS token not valid.")
        station.now += 11_000_000_000
        #expect(ask(station, get("/name/first", "X-metadata-token: \(text)")) == "401 MMDS token not valid.")
    }

    @Test(arguments: [
        ("PUT /latest/api/token HTTP/1.1\r\n\r\n", "400 Token time to live value not found. *"),
        (
            "PUT /latest/api/token HTTP/1.1\r\nX-metadata-token-ttl-seconds: 0\r\n\r\n",
            "400 Invalid time to live *: 0. *"
        ),
        ("PUT /latest/api/token HTTP/1.1\r\nX-metadata-token-ttl-seconds: 21601\r\n\r\n", "400 Invalid time to live *"),
        (
            "PUT /latest/api/token HTTP/1.1\r\nX-metadata-token-ttl-seconds: x\r\n\r\n",
            "400 Invalid header. Reason: Invalid value. Key:X-metadata-token-ttl-seconds; Value:x"
        ),
        ("PUT /latest/api/tokens HTTP/1.1\r\nX-metadata-token-ttl-seconds: 9\r\n\r\n", "404 Resource not found: *"),
        (
            "PUT /latest/api/token HTTP/1.1\r\nX-metadata-token-ttl-seconds: 9\r\nX-Forwarded-For: a\r\n\r\n",
            "400 Invalid header. Reason: Unsupported header name. Key: X-Forwarded-For"
        ),
        ("PATCH / HTTP/1.1\r\n\r\n", "405 Not allowed HTTP method."),
        ("get / HTTP/1.1\r\n\r\n", "501 Unsupported HTTP method."),
        ("POST / HTTP/1.1\r\n\r\n", "501 Unsupported HTTP method."),
        ("nothing\r\n\r\n", "400 Invalid request."), ("GET  HTTP/1.1\r\n\r\n", "400 Invalid request."),
        ("GET / HTTP/2\r\n\r\n", "501 Unsupported HTTP version."),
        ("GET / HTTP/1.1\r\nx\r\n\r\n", "400 Header is incorrectly formatted. Key: x"),
    ]) func `what is wrong is told`(request: String, answer: String) {
        let said = ask(MetadataStation(makeStore(), isTokenRequired: true), request)
        #expect(unsafe fnmatch(answer, said, 0) == 0, "\(said)")
    }

    @Test func `version 1 gives no tokens`() {
        let request = "PUT /latest/api/token HTTP/1.1\r\nX-metadata-token-ttl-seconds: 9\r\n\r\n"
        #expect(ask(MetadataStation(makeStore()), request) == "405 Not allowed HTTP method.")
    }

    @Test func `a request that is too long is refused and ends the connection`() {
        let station = MetadataStation(makeStore())
        var client = MetadataClient(port: 1)
        let isOpen = client.connect(station)
        #expect(isOpen)
        for _ in 0..<3 {
            client.say(station, [UInt8](repeating: 0x61, count: 1400))
            client.listen(station)
        }
        #expect(String(decoding: client.received, as: UTF8.self).hasSuffix("Invalid request."))
        #expect(client.isEndedByService)
    }

    @Test func `a client that says so is the last to speak`() {
        for request in ["GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nConnection: Close\r\n\r\n"] {
            let station = MetadataStation(makeStore())
            var client = MetadataClient(port: 1)
            let isOpen = client.connect(station)
            #expect(isOpen)
            #expect(client.ask(station, request).contains("Connection: close"))
            #expect(client.isEndedByService)
            client.say(station, flags: 1)
            client.listen(station)
            #expect(station.endpoint.metrics.count("connections_destroyed") == 1)
        }
    }

    @Test func `any guest is survived`() {
        var seed: UInt64 = 7
        for _ in 0..<3000 {
            var bytes: [UInt8] = []
            for _ in 0..<Int.random(in: 1...200) {
                seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                bytes.append(UInt8(truncatingIfNeeded: seed >> 33))
            }
            fuzzMetadata(bytes)
        }
    }
}
