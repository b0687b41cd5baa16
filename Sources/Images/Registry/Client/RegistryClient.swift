import NIOHTTP1
import Synchronization

/// Asks registries for images, and gives them some.
///
/// Everything that comes is verified against its digest before it is handed over; everything foreign is bounded. One
/// client may be used by any number of tasks at once.
/// Source: OCI distribution-spec 1.1.
public final class RegistryClient: Sendable {
    public let settings: RegistrySettings
    let transport: Transport
    let authorizer: Authorizer
    let transfers: TransferGate
    /// By authority: whether TLS is spoken there, where that had to be tried.
    private let spoken = Mutex<[String: WebAddress]>([:])

    public convenience init(settings: RegistrySettings = RegistrySettings(), credentials: CredentialStore) {
        self.init(settings: settings, transport: Transport(settings)) { registry, repository throws(RegistryError) in
            try await credentials.credential(for: registry, repository: repository)
        }
    }

    init(settings: RegistrySettings, transport: Transport, credentials: @escaping Authorizer.Source) {
        self.settings = settings
        self.transport = transport
        authorizer = Authorizer(transport, credentials)
        transfers = TransferGate(places: settings.parallelTransfers)
    }

    // MARK: - Registries

    /// Asks whether a registry is there and, where it wants credentials, whether it takes those that are stored.
    public func ping(_ registry: String) async throws(RegistryError) {
        try await retrying { () async throws(RegistryError) in
            let endpoint = Endpoint(registry: registry, base: try await self.base(of: Self.host(of: registry)))
            let answer = try await self.exchange(
                Call(.GET, endpoint, nil, "/v2/", resources: []), what: "its own address")
            guard answer.isSuccess else { throw await self.failure(answer, endpoint, "its own address") }
            let type = answer.header("Content-Type")
            let body = try await self.transport.bytes(of: answer, limit: 64 << 10, what: "a greeting")
            if ErrorBody.isWebPage(body, contentType: type) { throw Transport.webPage(endpoint.base.authority) }
        }
    }

    /// Verifies credentials with a registry, without the stored ones. Keeping them is up to `CredentialStore.store`.
    /// - Throws: `.unauthorized` when they are wrong.
    public func verify(_ credential: Credential, for registry: String) async throws(RegistryError) {
        let other = RegistryClient(settings: settings, transport: transport) { _, _ in credential }
        do { try await other.ping(registry) } catch {
            guard error.code == .unauthorized else { throw error }
            throw RegistryError(.unauthorized, "\(registry) does not accept \(credential)")
        }
    }

    // MARK: - Endpoints

    /// A place that answers for a registry.
    struct Endpoint: Sendable {
        let registry: String
        let base: WebAddress
    }

    /// Tries a registry's mirrors and then the registry itself, until one has what is wanted.
    func anywhere<R: Sendable>(
        _ reference: ImageReference, _ body: (Endpoint) async throws(RegistryError) -> R
    ) async throws(RegistryError) -> R {
        for mirror in settings.mirrors[reference.registry] ?? [] {
            guard let (address, isExact) = RegistrySettings.mirrorAddress(mirror) else { continue }
            do {
                let base = isExact ? address : try await base(of: address.authority)
                return try await body(Endpoint(registry: address.authority, base: base))
            } catch {
                if [.cancelled, .diskFull, .unusableFile].contains(error.code) { throw error }
            }
        }
        return try await origin(reference, body)
    }

    /// At the registry itself.
    func origin<R: Sendable>(
        _ reference: ImageReference, _ body: (Endpoint) async throws(RegistryError) -> R
    ) async throws(RegistryError) -> R {
        let base = try await retrying { () async throws(RegistryError) in
            try await self.base(of: Self.host(of: reference.registry))
        }
        return try await body(Endpoint(registry: reference.registry, base: base))
    }

    /// Where a registry's protocol is spoken.
    static func host(of registry: String) -> String {
        registry == ImageReference.defaultRegistry ? "registry-1.docker.io" : registry
    }

    /// TLS; where plain HTTP is allowed it is spoken with those who know no TLS.
    private func base(of authority: String) async throws(RegistryError) -> WebAddress {
        guard let (host, port) = WebAddress.splitHost(authority) else {
            throw RegistryError(.invalidSetting, "\"\(Printable.text(authority, limit: 100))\" is no host")
        }
        let secure = WebAddress(isSecure: true, host: host, port: port)
        guard settings.isInsecure || secure.isLoopback else { return secure }
        if let known = spoken.withLock({ $0[authority] }) { return known }
        var found = secure
        do throws(RegistryError) {
            _ = try await transport.send(Transport.Request(method: .GET, address: secure.appending("v2/")))
        } catch {
            guard [.insecure, .unreachable, .timedOut].contains(error.code) else { throw error }
            found = WebAddress(isSecure: false, host: host, port: port)
            let answer = try await transport.send(Transport.Request(method: .GET, address: found.appending("v2/")))
            // What servers that do speak TLS say to those who do not; the connection with TLS broke for another reason.
            if answer.status == 400 && error.code != .insecure { throw error }
        }
        spoken.withLock { $0[authority] = found }
        return found
    }
}
