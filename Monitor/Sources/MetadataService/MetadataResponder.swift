import WireFormats

/// What the service answers to a request, in Firecracker's words.
struct MetadataResponder {
    private static let tokenPath = Array("/latest/api/token".utf8)

    let store: MetadataStore
    private let tokens = MetadataTokens()

    init(_ store: MetadataStore) { self.store = store }

    /// One answer, without the lines that each has.
    private struct Answer {
        let status: Int
        var body: [UInt8] = []
        /// The only one that says that it is text; the others say that they are JSON, which they may be.
        var isToken = false
        var allowed: String?

        init(_ status: Int) { self.status = status }

        /// - Parameter bytes: what was asked for, behind the text.
        @inline(never)
        init(_ status: Int, _ text: String, _ bytes: ArraySlice<UInt8> = [], _ end: String = "") {
            self.status = status
            body.add(text)
            body += bytes
            body.add(end)
        }
    }

    /// A number that nobody knows who does not know the key of this process; no system call is needed for it.
    func unguessable(_ seed: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: tokens.code(seed).0) }

    /// - Parameter now: nanoseconds of a clock that only goes forward.
    func answer(_ request: MetadataRequest, now: UInt64) -> [UInt8] {
        Self.bytes(answered(request, now), isLast: request.isLast, isOldVersion: request.isOldVersion)
    }

    /// The answer to what is no request.
    func refuse(_ reason: String) -> [UInt8] {
        let isUnsupported = reason.utf8.starts(with: "Unsupported HTTP".utf8)
        return Self.bytes(Answer(isUnsupported ? 501 : 400, reason), isLast: true, isOldVersion: false)
    }

    private func answered(_ request: MetadataRequest, _ now: UInt64) -> Answer {
        if request.path.isEmpty { return Answer(400, "Invalid URI.") }
        let manner = store.manner
        var lifetime: UInt64?
        if manner.isTokenRequired, let (name, value) = request.tokenLifetime {
            lifetime = MetadataRequest.number(value)
            if lifetime == nil {
                return Answer(400, "Invalid header. Reason: Invalid value. Key:", name + Self.valueMark + value)
            }
        }
        switch request.method {
        case .get:
            if manner.isTokenRequired {
                guard let token = request.token else {
                    return Answer(
                        401, "No MMDS token provided. Use `X-metadata-token` header to specify the session token.")
                }
                guard tokens.accepts(token, now: now) else { return Answer(401, "MMDS token not valid.") }
            }
            return content(request, isJSON: request.acceptsJSON && !manner.isPlain)
        case .put where manner.isTokenRequired: return token(request, lifetime, now)
        default:
            var answer = Answer(405, "Not allowed HTTP method.")
            answer.allowed = manner.isTokenRequired ? "GET, PUT" : "GET"
            return answer
        }
    }

    private static let valueMark = Array("; Value:".utf8)

    private func content(_ request: MetadataRequest, isJSON: Bool) -> Answer {
        do throws(MetadataStore.Absence) {
            var answer = Answer(200)
            answer.body = try store.text(at: request.path, isJSON: isJSON)
            return answer
        } catch {
            switch error {
            case .notFound: return Self.notFound(request)
            case .notText: return Answer(501, "Cannot retrieve value. The value has an unsupported type.")
            }
        }
    }

    private static func notFound(_ request: MetadataRequest) -> Answer {
        Answer(404, "Resource not found: ", request.path[...], ".")
    }

    private func token(_ request: MetadataRequest, _ lifetime: UInt64?, _ now: UInt64) -> Answer {
        // A proxy's request is not the guest's own.
        if let name = request.forwarded {
            return Answer(400, "Invalid header. Reason: Unsupported header name. Key: ", name)
        }
        guard Self.normalized(request.path) == Self.tokenPath else { return Self.notFound(request) }
        guard let lifetime else {
            return Answer(
                400,
                "Token time to live value not found. Use `X-metadata-token-ttl-seconds` header to specify the token's lifetime."
            )
        }
        guard MetadataTokens.lifetimes.contains(lifetime) else {
            return Answer(
                400, "Invalid time to live value provided for token: ", Array(String(lifetime).utf8)[...],
                ". Please provide a value between 1 and 21600.")
        }
        var answer = Answer(200)
        answer.isToken = true
        answer.body = tokens.make(seconds: lifetime, now: now)
        return answer
    }

    /// Slashes in a row count once.
    private static func normalized(_ path: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        for byte in path where byte != 0x2f || bytes.last != 0x2f { bytes.append(byte) }
        return bytes
    }

    private static func bytes(_ answer: Answer, isLast: Bool, isOldVersion: Bool) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.add(isOldVersion ? "HTTP/1.0 " : "HTTP/1.1 ")
        bytes.add(String(answer.status))
        bytes.add(" \r\nServer: Firecracker API\r\nConnection: ")
        bytes.add(isLast ? "close" : "keep-alive")
        if let allowed = answer.allowed {
            bytes.add("\r\nAllow: ")
            bytes.add(allowed)
        }
        bytes.add("\r\nContent-Type: ")
        bytes.add(answer.isToken ? "text/plain" : "application/json")
        bytes.add("\r\nContent-Length: ")
        bytes.add(String(answer.body.count))
        bytes.add("\r\n\r\n")
        return bytes + answer.body
    }
}
