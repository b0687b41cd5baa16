import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import NIOSSL
import Synchronization

/// Single exchanges with servers: TLS, redirects, time limits and bounds; no credentials of its own, no second attempts.
final class Transport: Sendable {
    let settings: RegistrySettings
    private let client: HTTPClient
    /// By authority: files are read once.
    private let certificates = Mutex<[String: TLSConfiguration]>([:])
    /// Addresses that the settings give with `http://`.
    private let plainMirrors: Set<String>

    private static let maximumRedirects = 5

    struct Request {
        var method: HTTPMethod
        var address: WebAddress
        var headers = HTTPHeaders()
        var body: RequestBody = .none
        /// Until the head of the answer; nil for what the settings say.
        var timeLimit: Duration?
        var followsRedirects = true
    }

    struct Answer {
        let status: Int
        let headers: HTTPHeaders
        let body: HTTPClientResponse.Body
        /// Who answered, after redirects.
        let address: WebAddress

        /// Nil for what is longer than anything sensible, too.
        func header(_ name: String) -> String? {
            headers.first(name: name).flatMap { $0.utf8.count <= 2 * WebAddress.maximumBytes ? $0 : nil }
        }
        var isSuccess: Bool { (200...299).contains(status) }
    }

    init(_ settings: RegistrySettings) {
        self.settings = settings
        let addresses = settings.mirrors.values.joined().compactMap { RegistrySettings.mirrorAddress($0) }
        plainMirrors = Set(addresses.filter { $0.isExact && !$0.address.isSecure }.map(\.address.authority))
        var configuration = HTTPClient.Configuration()
        configuration.redirectConfiguration = .disallow
        configuration.timeout = .init(connect: .init(settings.connectTimeout))
        // One connection a blob: HTTP/2 would put all of them on one, with one window.
        configuration.httpVersion = .http1Only
        configuration.decompression = .disabled
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = settings.parallelTransfers + 4
        // Attempts are counted, and waited for, by whoever asks.
        configuration.connectionPool.retryConnectionEstablishment = false
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    deinit { client.shutdown().whenComplete { _ in } }

    /// Sends a request and follows redirects; `Authorization` stays with the host that it is for.
    func send(_ request: Request) async throws(RegistryError) -> Answer {
        var request = request
        for _ in 0...Self.maximumRedirects {
            let answer = try await exchange(request)
            guard request.followsRedirects, [301, 302, 303, 307, 308].contains(answer.status),
                let location = answer.header("Location")
            else {
                return answer
            }
            let mayRepeat = request.method == .GET || request.method == .HEAD
            guard mayRepeat || answer.status == 307 || answer.status == 308 else { return answer }
            guard let next = answer.address.resolving(location) else {
                throw RegistryError(
                    .invalidAnswer,
                    "\(request.address.authority) points to an address that cannot be: "
                        + Printable.text(location, limit: 120))
            }
            try check(next, from: request.address)
            if next.origin != request.address.origin { request.headers.remove(name: "Authorization") }
            request.address = next
            await finish(answer)
        }
        throw RegistryError(
            .invalidAnswer, "\(request.address.authority) points from one place to the next without end")
    }

    /// Whether a server may send us on: neither from TLS to plain HTTP, nor from elsewhere to this machine itself.
    func check(_ next: WebAddress, from origin: WebAddress) throws(RegistryError) {
        if !next.isSecure && origin.isSecure && !settings.isInsecure {
            throw RegistryError(
                .insecure,
                "\(origin.authority) points to \(next.origin), where nothing is encrypted; that is not followed")
        }
        if next.isLoopback && !origin.isLoopback && !settings.isInsecure {
            throw RegistryError(
                .insecure, "\(origin.authority) points to \(next.origin), which is this machine; that is not followed")
        }
    }

    private func exchange(_ request: Request) async throws(RegistryError) -> Answer {
        let address = request.address
        guard address.isSecure || address.isLoopback || settings.isInsecure || plainMirrors.contains(address.authority)
        else {
            throw RegistryError(
                .insecure,
                "plain HTTP is only used with this machine itself; \(address.authority) may be asked with --insecure")
        }
        var message = HTTPClientRequest(url: address.text)
        message.method = request.method
        message.headers = request.headers
        message.headers.replaceOrAdd(name: "User-Agent", value: settings.userAgent)
        message.body = request.body.forClient
        if address.isSecure { message.tlsConfiguration = try trust(address) }
        let limit = request.timeLimit ?? settings.answerTimeout
        do {
            let response = try await client.execute(message, deadline: .now() + TimeAmount(limit))
            return Answer(
                status: Int(response.status.code), headers: response.headers, body: response.body, address: address)
        } catch {
            throw RegistryError(error, at: address, settings: settings)
        }
    }

    private func trust(_ address: WebAddress) throws(RegistryError) -> TLSConfiguration {
        if let known = certificates.withLock({ $0[address.authority] }) { return known }
        let made = try TrustedCertificates(settings: settings).configuration(for: address)
        return certificates.withLock { known in
            known[address.authority] = known[address.authority] ?? made
            return known[address.authority] ?? made
        }
    }
}
