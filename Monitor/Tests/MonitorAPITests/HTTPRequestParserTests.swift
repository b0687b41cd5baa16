import Testing

@testable import MonitorAPI

@Suite struct HTTPRequestParserTests {
    private let parser = HTTPRequestParser(maximumBodyBytes: 100)

    private func parse(_ text: String) -> HTTPRequestParser.Outcome { parser.parse(Array(text.utf8)) }

    @Test func `a request is found whole, and no earlier`() {
        let text = "PUT /mmds HTTP/1.1\r\nHost: x\r\ncontent-length: 3\r\n\r\n{ }"
        for count in 0..<text.utf8.count {
            guard case .incomplete = parser.parse(Array(text.utf8.prefix(count))) else {
                Issue.record("judged after \(count) bytes")
                return
            }
        }
        #expect(
            parse(text + "GET")
                == .request(
                    HTTPRequest(.put, "/mmds", body: Array("{ }".utf8)), byteCount: text.utf8.count))
    }

    @Test func `a target may be a path, a URL or nonsense`() {
        for (target, path) in [
            ("/a/b?c", "/a/b?c"), ("http://localhost/version", "/version"), ("http://localhost", ""), ("version", ""),
        ] {
            let text = "GET \(target) HTTP/1.0\r\n\r\n"
            #expect(parse(text) == .request(HTTPRequest(.get, path), byteCount: text.utf8.count))
        }
    }

    @Test(arguments: [
        ("garbage\r\n", "Invalid request."),
        ("GET /\r\n", "Invalid request."),
        ("DELETE / HTTP/1.1\r\n", "Invalid HTTP Method: Unsupported HTTP method."),
        ("get / HTTP/1.1\r\n", "Invalid HTTP Method: Unsupported HTTP method."),
        ("GET  HTTP/1.1\r\n", "Invalid URI: Empty URI not allowed."),
        ("GET / HTTP/2.0\r\n", "Invalid HTTP Version: Unsupported HTTP version."),
        ("GET / HTTP/1.1\r\nFoobar\r\n", "Invalid header. Reason: Header is incorrectly formatted. Key: Foobar"),
        (
            "PUT / HTTP/1.1\r\nContent-Length: -1\r\n",
            "Invalid header. Reason: Invalid value. Key:Content-Length; Value: -1"
        ),
        (
            "PUT / HTTP/1.1\r\nContent-Length: 99999999999999\r\n",
            "Invalid header. Reason: Invalid value. Key:Content-Length; Value: 99999999999999"
        ),
        (
            "PUT / HTTP/1.1\r\nContent-Length: 101\r\n\r\n",
            "Request payload with size 101 is larger than the limit of 100 allowed by server."
        ),
        (
            "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n",
            "Invalid header. Reason: Unsupported value. Key:Transfer-Encoding; Value:chunked"
        ),
    ])
    func `what is no request is refused as soon as it is seen`(_ text: String, _ message: String) {
        #expect(parse(text) == .refused(message))
    }

    @Test func `lines and heads are bounded`() {
        #expect(parse("GET /" + String(repeating: "x", count: 1100)) == .refused("Invalid request."))
        let head =
            "GET / HTTP/1.1\r\n" + String(repeating: "Foo: " + String(repeating: "y", count: 900) + "\r\n", count: 20)
        #expect(parse(head) == .refused("Invalid request."))
    }

    @Test func `a body that waits for leave is seen`() {
        let head = "PUT / HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        #expect(parse(head) == .incomplete(expectsContinue: true))
    }
}
