import FoundationEssentials
import NIOHTTP1
import Synchronization

/// Finds out what proves to a registry who asks, and remembers it while it is valid.
///
/// Source: distribution, "Token Authentication Specification" and "OAuth 2"; RFC 7617.
final class Authorizer: Sendable {
    typealias Source = @Sendable (_ registry: String, _ repository: String?) async throws(RegistryError) -> Credential?

    /// For whom and for what an authorization is.
    struct Scope: Hashable, Sendable {
        let registry: String
        let origin: String
        let repository: String?
        /// As token servers want them: `repository:library/busybox:pull`.
        let resources: [String]
    }

    private struct Known {
        let header: String
        let validUntil: ContinuousClock.Instant?
    }

    private let transport: Transport
    private let credentials: Source
    private let known = Mutex<[Scope: Known]>([:])

    private static let maximumTokenBytes = 1 << 20
    private static let maximumTokenCharacters = 64 << 10

    init(_ transport: Transport, _ credentials: @escaping Source) {
        self.transport = transport
        self.credentials = credentials
    }

    /// What to send, as far as that is known.
    func header(for scope: Scope) -> String? {
        known.withLock { known in
            guard let found = known[scope] else { return nil }
            if let end = found.validUntil, end < .now { return nil }
            return found.header
        }
    }

    /// What to send after a server answered 401.
    /// - Parameter rejected: what was sent with the request that it answered so.
    /// - Throws: `.unauthorized` when there is nothing else to send.
    func header(
        for scope: Scope, challengedBy answer: Transport.Answer, rejected: String?, what: String
    ) async throws(RegistryError) -> String {
        known.withLock { $0[scope] = nil }
        let challenges = answer.headers["WWW-Authenticate"].prefix(8).flatMap { AuthenticationChallenge.parse($0) }
        let credential = try await credentials(scope.registry, scope.repository)
        let made: Known
        if let bearer = challenges.first(where: { $0.scheme == "bearer" }) {
            made = try await token(bearer, scope, credential, answer.address)
        } else if challenges.contains(where: { $0.scheme == "basic" }) {
            guard case .password(let user, let password) = credential else {
                throw Self.unauthorized(scope, what, hasCredential: credential != nil)
            }
            made = Known(header: Self.basic(user, password), validUntil: nil)
        } else {
            throw RegistryError(
                .unauthorized,
                "\(answer.address.authority) asks who wants \(what), in a way that is not known here; only passwords and "
                    + "tokens are")
        }
        guard made.header != rejected else { throw Self.unauthorized(scope, what, hasCredential: credential != nil) }
        known.withLock { $0[scope] = made }
        return made.header
    }

    static func unauthorized(_ scope: Scope, _ what: String, hasCredential: Bool) -> RegistryError {
        let login = "use swiftlet login \(scope.registry)"
        return RegistryError(
            .unauthorized,
            hasCredential
                ? "\(scope.registry) does not accept the stored credentials for \(what); \(login)"
                : "\(scope.registry) has no \(what), or shows it only to those it knows; check the name, or \(login)")
    }

    private static func basic(_ user: String, _ password: String) -> String {
        "Basic " + Data("\(user):\(password)".utf8).base64EncodedString()
    }

    // MARK: - Tokens

    private func token(
        _ challenge: AuthenticationChallenge, _ scope: Scope, _ credential: Credential?, _ server: WebAddress
    ) async throws(RegistryError) -> Known {
        if case .registryToken(let token) = credential {
            return Known(header: "Bearer " + (try Self.checked(token, server)), validUntil: nil)
        }
        guard let text = challenge.parameters["realm"], let realm = WebAddress(text) else {
            throw RegistryError(
                .invalidAnswer, "\(server.authority) wants a token and does not say from where in a way that can be")
        }
        try transport.check(realm, from: server)
        let started = ContinuousClock.now
        let answer = try await transport.send(request(realm, challenge, scope, credential))
        guard answer.isSuccess else {
            if answer.status == 401 || answer.status == 403 || (answer.status == 400 && credential != nil) {
                throw Self.unauthorized(scope, "what was asked for", hasCredential: credential != nil)
            }
            throw await transport.failure(answer, what: "token", login: scope.registry)
        }
        let bytes = try await transport.bytes(of: answer, limit: Self.maximumTokenBytes, what: "a token")
        let document: TokenDocument
        do { document = try JSONDecoder().decode(TokenDocument.self, from: Data(bytes)) } catch {
            if ErrorBody.isWebPage(bytes, contentType: answer.header("Content-Type")) {
                throw Transport.webPage(realm.authority)
            }
            throw RegistryError(.invalidAnswer, "\(realm.authority) answers with something that is no token")
        }
        guard let token = document.token ?? document.accessToken else {
            throw RegistryError(.invalidAnswer, "\(realm.authority) answers without a token")
        }
        // Without a word it is 60 s. Some are left for the way there.
        let lifetime = min(max(document.lifetimeSeconds ?? 60, 0), 86_400)
        return Known(
            header: "Bearer " + (try Self.checked(token, realm)),
            validUntil: started + .seconds(lifetime * 9 / 10))
    }

    private struct TokenDocument: Decodable {
        let token: String?
        let accessToken: String?
        let lifetimeSeconds: Int?
        enum CodingKeys: String, CodingKey {
            case token
            case accessToken = "access_token"
            case lifetimeSeconds = "expires_in"
        }
    }

    private func request(
        _ realm: WebAddress, _ challenge: AuthenticationChallenge, _ scope: Scope, _ credential: Credential?
    ) -> Transport.Request {
        var items: [(String, String)] = []
        if let service = challenge.parameters["service"] { items.append(("service", service)) }
        var resources = scope.resources
        if resources.isEmpty, let wanted = challenge.parameters["scope"] {
            resources = wanted.split(separator: " ").map(String.init)
        }
        if case .identityToken(let token) = credential {
            if !resources.isEmpty { items.append(("scope", resources.joined(separator: " "))) }
            items += [("grant_type", "refresh_token"), ("client_id", "swiftlet"), ("refresh_token", token)]
            let form = items.map { "\(WebAddress.encoded($0.0))=\(WebAddress.encoded($0.1))" }.joined(separator: "&")
            return Transport.Request(
                method: .POST, address: realm, headers: ["Content-Type": "application/x-www-form-urlencoded"],
                body: .bytes(Array(form.utf8)), followsRedirects: false)
        }
        items += resources.map { ("scope", $0) }
        var headers: HTTPHeaders = [:]
        if case .password(let user, let password) = credential {
            items.append(("account", user))
            headers.add(name: "Authorization", value: Self.basic(user, password))
        }
        return Transport.Request(method: .GET, address: realm.appending("", query: items), headers: headers)
    }

    /// A token that may stand in a header.
    private static func checked(_ token: String, _ server: WebAddress) throws(RegistryError) -> String {
        guard (1...maximumTokenCharacters).contains(token.utf8.count),
            token.utf8.allSatisfy({ (0x21...0x7e).contains($0) })
        else {
            throw RegistryError(.invalidAnswer, "\(server.authority) gives a token that cannot be one")
        }
        return token
    }
}

extension Authorizer {
    func hasCredential(for scope: Scope) async throws(RegistryError) -> Bool {
        try await credentials(scope.registry, scope.repository) != nil
    }
}
