import AsyncHTTPClient
import NIOCore

/// What a request carries; each can be sent again.
enum RequestBody: Sendable {
    case none
    case bytes([UInt8])
    case blob(BlobPart)

    var forClient: HTTPClientRequest.Body? {
        switch self {
        case .none: nil
        case .bytes(let bytes): .bytes(ByteBuffer(bytes: bytes))
        case .blob(let part): .stream(part, length: .known(Int64(part.range.count)))
        }
    }
}

extension Transport {
    /// The whole of an answer that must be short.
    /// - Throws: `.tooLarge`, or `.timedOut` when it does not come whole within the time for an answer.
    func bytes(of answer: Answer, limit: Int, what: String) async throws(RegistryError) -> [UInt8] {
        let host = answer.address.authority
        if let announced = answer.header("Content-Length").flatMap({ Int($0) }), announced > limit {
            throw Self.tooLarge(host, what, limit)
        }
        let address = answer.address
        do {
            return try await withTimeLimit(settings.answerTimeout, host: host) {
                var bytes: [UInt8] = []
                for try await piece in answer.body {
                    guard bytes.count + piece.readableBytes <= limit else { throw Self.tooLarge(host, what, limit) }
                    bytes.append(contentsOf: piece.readableBytesView)
                }
                return bytes
            }
        } catch {
            throw RegistryError(error, at: address, settings: settings)
        }
    }

    private static func tooLarge(_ host: String, _ what: String, _ limit: Int) -> RegistryError {
        RegistryError(.tooLarge, "\(host) sends \(what) of more than \(limit) bytes; nothing that large is read")
    }

    /// Reads what is left of an answer that nobody needs, so that its connection can be used again; a long one is dropped.
    func finish(_ answer: Answer) async {
        guard let length = answer.header("Content-Length").flatMap({ Int($0) }), length <= ErrorBody.maximumBytes else {
            return
        }
        _ = try? await bytes(of: answer, limit: ErrorBody.maximumBytes, what: "nothing of interest")
    }

    /// What an answer says about why it is no success.
    func errorBody(of answer: Answer) async -> ErrorBody {
        let bytes = (try? await bytes(of: answer, limit: ErrorBody.maximumBytes, what: "an error")) ?? []
        return ErrorBody(bytes, contentType: answer.header("Content-Type"))
    }

    /// The error that an answer means. `what` was asked for; `login` is the registry that `swiftlet login` is used with.
    func failure(_ answer: Answer, what: String, login: String) async -> RegistryError {
        let body = await errorBody(of: answer)
        let host = answer.address.authority
        let said = body.text.isEmpty ? "" : " (\(body.text))"
        let wait = answer.header("Retry-After").flatMap { RetryAfter.parse($0) }
        if answer.status == 429 || body.codes.contains("TOOMANYREQUESTS") {
            let again = wait.map { "try again in \($0.components.seconds) s" } ?? "try again later"
            return RegistryError(
                .rateLimited, "\(host) has had too many requests\(said); \(again), or use swiftlet login \(login)",
                isTransient: true, retryAfter: wait)
        }
        if answer.status == 408 || answer.status >= 500 {
            return RegistryError(
                .serverFault, "\(host) has a fault of its own, \(answer.status)\(said); try again later",
                isTransient: answer.status != 501, retryAfter: wait)
        }
        if body.isWebPage { return Self.webPage(host) }
        switch answer.status {
        case 401:
            return RegistryError(
                .unauthorized, "\(host) does not say who may have \(what)\(said); use swiftlet login \(login)")
        case 403:
            return RegistryError(
                .denied, "\(host) does not allow \(what)\(said); use swiftlet login \(login) as somebody who may")
        case 404:
            return RegistryError(.notFound, "\(host) has no \(what)\(said); check the name")
        case 300..<400:
            return RegistryError(.invalidAnswer, "\(host) answers \(answer.status) where nothing can be followed")
        default:
            return RegistryError(.refused, "\(host) refuses \(what) with \(answer.status)\(said)")
        }
    }

    static func webPage(_ host: String) -> RegistryError {
        RegistryError(
            .notRegistry,
            "\(host) answers with a web page, not as a registry; check the name, and whether a proxy or a login page is in "
                + "the way")
    }
}

/// Runs `body`, and ends it when it takes longer than `limit`.
func withTimeLimit<R: Sendable>(
    _ limit: Duration, host: String, _ body: @escaping @Sendable () async throws -> R
) async throws -> R {
    try await withThrowingTaskGroup(of: R?.self) { group in
        group.addTask { try await body() }
        group.addTask {
            try await Task.sleep(for: limit)
            return nil
        }
        defer { group.cancelAll() }
        guard let first = try await group.next(), let result = first else {
            throw RegistryError(
                .timedOut, "\(host) did not answer in time; try again later", isTransient: true)
        }
        return result
    }
}
