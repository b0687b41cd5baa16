/// One request, as far as the API cares.
public struct HTTPRequest: Equatable, Sendable {
    public enum Method: Equatable, Sendable { case get, put, patch }

    public let method: Method
    /// From the first slash on; empty for a target without one.
    public let path: String
    public let body: [UInt8]

    public init(_ method: Method, _ path: String, body: [UInt8] = []) {
        self.method = method
        self.path = path
        self.body = body
    }
}

extension HTTPRequest.Method {
    /// As on the wire.
    var name: String {
        switch self {
        case .get: "GET"
        case .put: "PUT"
        case .patch: "PATCH"
        }
    }

    /// As in the log.
    var logName: String {
        switch self {
        case .get: "Get"
        case .put: "Put"
        case .patch: "Patch"
        }
    }
}
