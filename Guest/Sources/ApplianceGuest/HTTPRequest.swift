public import AgentProtocol

/// The head of an HTTP/1.1 request, as far as a page that is only looked at needs it.
///
/// Trust: none; it comes from whoever reaches the port. Source: RFC 9112 §3.
public enum HTTPRequest: Equatable, Sendable {
    /// A page is asked for, by its path without a query; `isHead` wants no body.
    case page(path: ByteString, isHead: Bool)
    /// Another method.
    case notAllowed
    case malformed

    public static let mostHeadBytes = 4096

    /// Nil as long as the head is not whole.
    public init?(_ bytes: [UInt8]) {
        guard let end = Self.headEnd(bytes) else {
            guard bytes.count >= Self.mostHeadBytes else { return nil }
            self = .malformed
            return
        }
        let line = bytes[..<end].prefix { $0 != 0x0d && $0 != 0x0a }
        let words = line.split(separator: 0x20, omittingEmptySubsequences: false).map { ByteString($0) }
        guard words.count == 3, words[2] == "HTTP/1.1" || words[2] == "HTTP/1.0", words[1].bytes.first == 0x2f else {
            self = .malformed
            return
        }
        let path = ByteString(words[1].bytes.prefix { $0 != UInt8(ascii: "?") })
        switch words[0] {
        case "GET": self = .page(path: path, isHead: false)
        case "HEAD": self = .page(path: path, isHead: true)
        default: self = .notAllowed
        }
    }

    private static func headEnd(_ bytes: [UInt8]) -> Int? {
        var index = 0
        while index < bytes.count {
            if bytes[index] == 0x0a {
                if index + 1 < bytes.count, bytes[index + 1] == 0x0a { return index }
                if index + 2 < bytes.count, bytes[index + 1] == 0x0d, bytes[index + 2] == 0x0a { return index }
            }
            index += 1
        }
        return nil
    }
}

/// An answer, whole: the connection is closed behind it.
public struct HTTPResponse: Equatable, Sendable {
    public enum Status: Sendable {
        case ok, badRequest, notFound, notAllowed, unavailable

        var line: ByteString {
            switch self {
            case .ok: "200 OK"
            case .badRequest: "400 Bad Request"
            case .notFound: "404 Not Found"
            case .notAllowed: "405 Method Not Allowed"
            case .unavailable: "503 Service Unavailable"
            }
        }
    }

    public var status: Status
    public var contentType: ByteString
    public var body: ByteString

    public init(_ status: Status, contentType: ByteString = "text/plain; charset=utf-8", _ body: ByteString) {
        self.status = status
        self.contentType = contentType
        self.body = body
    }

    /// Nothing is kept, nothing is run, and no other page shows it inside its own.
    public func encoded(isHead: Bool) -> [UInt8] {
        var head: ByteString = "HTTP/1.1 " + status.line + "\r\nContent-Type: " + contentType
        head += "\r\nContent-Length: " + ByteString(UInt(body.count))
        if status == .notAllowed { head += "\r\nAllow: GET, HEAD" }
        head += "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY"
        head +=
            "\r\nContent-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\nConnection: close\r\n\r\n"
        return isHead ? head.bytes : head.bytes + body.bytes
    }
}

extension ByteString {
    /// As text in a page or in an attribute between quotes. What is neither printable ASCII nor beyond it becomes `?`, so that
    /// what is shown is what is there.
    public var escapedForHTML: ByteString {
        var text: [UInt8] = []
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "&"): text += [UInt8]("&amp;".utf8)
            case UInt8(ascii: "<"): text += [UInt8]("&lt;".utf8)
            case UInt8(ascii: ">"): text += [UInt8]("&gt;".utf8)
            case UInt8(ascii: "\""): text += [UInt8]("&quot;".utf8)
            case UInt8(ascii: "'"): text += [UInt8]("&#39;".utf8)
            case 0x20...0x7e: text.append(byte)
            default: text.append(UInt8(ascii: "?"))
            }
        }
        return ByteString(text)
    }
}
