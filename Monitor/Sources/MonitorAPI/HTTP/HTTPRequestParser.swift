/// Finds requests in the bytes of a connection. Source: RFC 9112, as narrow as Firecracker reads it.
///
/// Trust: none in the bytes. A line has at most 1,024 bytes, a head 16 KiB, a body as much as `maximumBodyBytes`; whoever
/// sends more is refused before it is kept.
public struct HTTPRequestParser: Sendable {
    /// What the bytes so far are.
    public enum Outcome: Equatable, Sendable {
        /// The beginning of a request. The client may be waiting to be told to go on with the body.
        case incomplete(expectsContinue: Bool)
        /// A request, and how many bytes it took.
        case request(HTTPRequest, byteCount: Int)
        /// No request; nothing behind it can be made out either.
        case refused(String)
    }

    static let maximumLineBytes = 1024
    static let maximumHeadBytes = 16 << 10

    public let maximumBodyBytes: Int

    public init(maximumBodyBytes: Int) { self.maximumBodyBytes = maximumBodyBytes }

    /// The most bytes that can be needed before there is an answer.
    var maximumRequestBytes: Int { Self.maximumHeadBytes + maximumBodyBytes }

    private enum Line {
        case missing
        case tooLong
        case found(Range<Int>, next: Int)
    }

    /// Judges what begins at the start of `bytes`.
    public func parse(_ bytes: [UInt8]) -> Outcome {
        switch line(bytes, at: 0) {
        case .missing: return .incomplete(expectsContinue: false)
        case .tooLong: return .refused("Invalid request.")
        case .found(let range, let next): return parse(bytes, requestLine: range, headers: next)
        }
    }

    private func line(_ bytes: [UInt8], at start: Int) -> Line {
        let end = min(bytes.count, start + Self.maximumLineBytes)
        var index = start
        while index + 1 < end {
            if bytes[index] == 0x0d, bytes[index + 1] == 0x0a { return .found(start..<index, next: index + 2) }
            index += 1
        }
        return bytes.count - start >= Self.maximumLineBytes ? .tooLong : .missing
    }

    private func parse(_ bytes: [UInt8], requestLine: Range<Int>, headers: Int) -> Outcome {
        let words = bytes[requestLine].split(separator: 0x20, maxSplits: 2, omittingEmptySubsequences: false)
        guard words.count == 3 else { return .refused("Invalid request.") }
        let method: HTTPRequest.Method
        switch String(decoding: words[0], as: UTF8.self) {
        case "GET": method = .get
        case "PUT": method = .put
        case "PATCH": method = .patch
        default: return .refused("Invalid HTTP Method: Unsupported HTTP method.")
        }
        guard !words[1].isEmpty else { return .refused("Invalid URI: Empty URI not allowed.") }
        guard let target = String(validating: words[1], as: UTF8.self) else {
            return .refused("Invalid URI: Cannot parse URI as UTF-8.")
        }
        let version = String(decoding: words[2], as: UTF8.self)
        guard version == "HTTP/1.1" || version == "HTTP/1.0" else {
            return .refused("Invalid HTTP Version: Unsupported HTTP version.")
        }
        return parseHeaders(bytes, at: headers, method, Self.path(of: target))
    }

    private func parseHeaders(
        _ bytes: [UInt8], at start: Int, _ method: HTTPRequest.Method, _ path: String
    ) -> Outcome {
        var place = start
        var lengthBytes: Int?
        var expectsContinue = false
        while true {
            let range: Range<Int>
            switch line(bytes, at: place) {
            case .missing:
                if place > Self.maximumHeadBytes { return .refused("Invalid request.") }
                return .incomplete(expectsContinue: false)
            case .tooLong: return .refused("Invalid header. Reason: Header is too long.")
            case .found(let found, let next):
                range = found
                place = next
            }
            if place > Self.maximumHeadBytes { return .refused("Invalid request.") }
            if range.isEmpty { break }
            guard let header = String(validating: bytes[range], as: UTF8.self) else {
                return .refused("Invalid header. Reason: Header contains invalid characters.")
            }
            guard let colon = header.utf8.firstIndex(of: UInt8(ascii: ":")) else {
                return .refused("Invalid header. Reason: Header is incorrectly formatted. Key: \(header)")
            }
            let value = Self.trimmed(header.utf8[header.utf8.index(after: colon)...])
            switch Self.lowercased(header.utf8[..<colon]) {
            case "content-length":
                // 32 bits, as the original has it.
                guard let number = UInt32(value), lengthBytes == nil || lengthBytes == Int(number) else {
                    return .refused("Invalid header. Reason: Invalid value. Key:Content-Length; Value: \(value)")
                }
                lengthBytes = Int(number)
            case "transfer-encoding":
                if value != "identity" {
                    return .refused(
                        "Invalid header. Reason: Unsupported value. Key:Transfer-Encoding; Value:\(value)")
                }
            case "expect": expectsContinue = value == "100-continue"
            default: break
            }
        }
        let count = lengthBytes ?? 0
        guard count <= maximumBodyBytes else {
            return .refused(
                "Request payload with size \(count) is larger than the limit of \(maximumBodyBytes) allowed by server.")
        }
        guard bytes.count - place >= count else { return .incomplete(expectsContinue: expectsContinue) }
        return .request(
            HTTPRequest(method, path, body: Array(bytes[place..<place + count])), byteCount: place + count)
    }

    /// A target may be a path or a whole URL.
    private static func path(of target: String) -> String {
        let scheme = "http://"
        guard target.utf8.starts(with: scheme.utf8) else { return target.utf8.first == 0x2f ? target : "" }
        let rest = target.utf8.dropFirst(scheme.utf8.count)
        guard let slash = rest.firstIndex(of: 0x2f) else { return "" }
        return String(decoding: rest[slash...], as: UTF8.self)
    }

    private static func trimmed(_ bytes: Substring.UTF8View) -> String {
        var rest = bytes
        while let first = rest.first, first == 0x20 || first == 0x09 { rest.removeFirst() }
        while let last = rest.last, last == 0x20 || last == 0x09 { rest.removeLast() }
        return String(decoding: rest, as: UTF8.self)
    }

    private static func lowercased(_ bytes: Substring.UTF8View) -> String {
        String(decoding: bytes.map { $0 >= 0x41 && $0 <= 0x5a ? $0 | 0x20 : $0 }, as: UTF8.self)
    }
}
