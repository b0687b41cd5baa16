import Archives
import Testing

@testable import Registry

/// Who asks, and to whom that is told.
@Suite struct AuthorizationTests {
    private let path = "/v2/a/b/manifests/t"
    private let basic = "Basic dXNlcjpzZWNyZXQ="
    private let user = Credential.password(user: "user", password: "secret")

    /// A registry that wants a token of its own token server.
    private func registry(realm: String, token: String) throws -> MisbehavingRegistry {
        try MisbehavingRegistry { request, connection in
            if request.headers["authorization"] == "Bearer \(token)" {
                connection.answer(200, ["Content-Type": manifestType], smallManifest)
            } else {
                connection.answer(
                    401, ["WWW-Authenticate": #"Bearer realm="\#(realm)",service="reg, one",scope="repository:x:pull""#]
                )
            }
            return .keep
        }
    }

    private func tokenServer(_ answer: String) throws -> LoopbackServer {
        try LoopbackServer { _, connection in
            connection.answer(200, json: answer)
            return .keep
        }
    }

    @Test("a token is fetched once, with the credentials, and used for what follows")
    func bearer() async throws {
        let tokens = try tokenServer(#"{"token":"T1","expires_in":300}"#)
        defer { tokens.end() }
        let registry = try registry(realm: "http://\(tokens.host)/token?x=1", token: "T1")
        let client = client(quickSettings(), user)
        let reference = try registry.reference()
        _ = try await client.manifest(reference)
        _ = try await client.manifest(reference)
        let asked = tokens.requests
        #expect(asked.count == 1)
        #expect(asked.first?.headers["authorization"] == basic)
        #expect(
            asked.first?.target
                == "/token?x=1&service=reg%2C%20one&scope=repository%3Aa%2Fb%3Apull&account=user")
        // The registry itself never sees the password.
        #expect(!registry.server.requests.contains { $0.headers["authorization"] == basic })
    }

    @Test("a token is asked for without credentials where there are none, and again when it ran out")
    func anonymous() async throws {
        let counter = Counter()
        let tokens = try LoopbackServer { _, connection in
            connection.answer(200, json: #"{"access_token":"T\#(counter.next())","expires_in":300}"#)
            return .keep
        }
        defer { tokens.end() }
        let realm = "http://\(tokens.host)/"
        let registry = try MisbehavingRegistry { request, connection in
            if request.path == "/v2/" { return nil }
            // Each token is good for one request.
            if request.headers["authorization"] == "Bearer T\(counter.value)", counter.value > 0 {
                _ = counter.next()
                connection.answer(200, ["Content-Type": manifestType], smallManifest)
            } else {
                connection.answer(401, ["WWW-Authenticate": #"Bearer realm="\#(realm)""#])
            }
            return .keep
        }
        let client = client()
        for _ in 0..<3 { _ = try await client.manifest(try registry.reference()) }
        #expect(tokens.requests.count == 3)
        #expect(tokens.requests.allSatisfy { $0.headers["authorization"] == nil })
    }

    @Test("an identity token is exchanged by POST, and stands in no address")
    func identityToken() async throws {
        let tokens = try tokenServer(#"{"access_token":"T1"}"#)
        defer { tokens.end() }
        let registry = try registry(realm: "http://\(tokens.host)/token", token: "T1")
        _ = try await client(quickSettings(), .identityToken("ID&=")).manifest(try registry.reference())
        let asked = try #require(tokens.requests.first)
        #expect(asked.method == "POST" && asked.target == "/token")
        let body = String(decoding: asked.body, as: UTF8.self)
        #expect(body.contains("grant_type=refresh_token") && body.contains("refresh_token=ID%26%3D"))
    }

    @Test("a password goes to who asks for it by the basic scheme, and wrong ones lead to login")
    func basicScheme() async throws {
        let basic = basic
        let registry = try MisbehavingRegistry { request, connection in
            if request.headers["authorization"] == basic {
                connection.answer(200, ["Content-Type": manifestType], smallManifest)
            } else {
                connection.answer(401, ["WWW-Authenticate": #"Negotiate, Basic realm="x""#])
            }
            return .keep
        }
        let reference = try registry.reference()
        _ = try await client(quickSettings(), user).manifest(reference)
        for credential in [Credential.password(user: "user", password: "wrong"), nil] {
            do {
                _ = try await client(quickSettings(), credential).manifest(reference)
                Issue.record("there was no error")
            } catch {
                #expect(error.code == .unauthorized)
                #expect(error.message.contains("swiftlet login \(registry.server.host)"), "\(error)")
                #expect(!error.message.contains("wrong"))
            }
        }
        try await client().verify(user, for: registry.server.host)
        await #expect(throws: RegistryError.self) {
            try await client().verify(.password(user: "user", password: "wrong"), for: registry.server.host)
        }
    }

    @Test(
        "a token server that answers nonsense is told as such",
        arguments: [
            ("<html>", RegistryError.Code.notRegistry), ("{}", .invalidAnswer), (#"{"token":"a b"}"#, .invalidAnswer),
            (#"{"token":"a\r\nX: y"}"#, .invalidAnswer), (#"{"token":""}"#, .invalidAnswer), ("[", .invalidAnswer),
            ("large", .tooLarge),
        ])
    func nonsense(answer: String, code: RegistryError.Code) async throws {
        let tokens = try tokenServer(answer == "large" ? String(repeating: " ", count: 1 << 21) : answer)
        defer { tokens.end() }
        let registry = try registry(realm: "http://\(tokens.host)/", token: "T1")
        do {
            _ = try await client().manifest(try registry.reference())
            Issue.record("there was no error")
        } catch let error as RegistryError {
            #expect(error.code == code, "\(error)")
        }
    }
}
