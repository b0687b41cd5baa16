import WireFormats

/// One answer of the API.
public struct HTTPResponse: Equatable, Sendable {
    public var status: Int
    /// JSON; empty where there is none to send.
    public var body: [UInt8]
    /// The request used something that is going away.
    public var isDeprecated = false
    /// Nothing more is read from this client.
    public var closesConnection = false

    public init(status: Int, body: [UInt8] = []) {
        self.status = status
        self.body = body
    }

    /// Done, and nothing to say.
    static let noContent = HTTPResponse(status: 204)

    static func json(_ value: JSONValue) -> HTTPResponse {
        var response = HTTPResponse(status: 200)
        value.write(to: &response.body)
        return response
    }

    public static func fault(_ message: String, status: Int = 400) -> HTTPResponse {
        var response = HTTPResponse(status: status)
        JSONValue.object([JSONMember("fault_message", .string(message))]).write(to: &response.body)
        return response
    }

    /// What was sent is no request: the original's shape, line feed in a text included.
    static func refusal(_ message: String) -> HTTPResponse {
        var response = HTTPResponse(
            status: 400,
            body: Array(
                "{ \"error\": \"\(message)\nAll previous unanswered requests will be dropped.\" }".utf8))
        response.closesConnection = true
        return response
    }

    /// Appends the answer as it goes over the wire.
    func write(to bytes: inout [UInt8]) {
        bytes.add("HTTP/1.1 \(status) \r\nServer: Firecracker API\r\nConnection: ")
        bytes.add(closesConnection ? "close\r\n" : "keep-alive\r\n")
        if isDeprecated { bytes.add("Deprecation: true\r\n") }
        if !body.isEmpty {
            bytes.add("Content-Type: application/json\r\nContent-Length: \(body.count)\r\n")
        }
        bytes.add("\r\n")
        bytes += body
    }
}
