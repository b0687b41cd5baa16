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

    @Test("a redirect to another place is followed without the credentials")
    func redirect() async throws {
        let bytes = content(1000)
        let storage = try LoopbackServer { _, connection in
            connection.answer(200, [:], bytes)
            return .keep
        }
        defer { storage.end() }
        let (basic, target) = (basic, "http://\(storage.host)/store/blob?signature=a%2Fb")
        let registry = try MisbehavingRegistry { request, connection in
            if request.headers["authorization"] != basic {
                connection.answer(401, ["WWW-Authenticate": "Basic"])
            } else if request.path.hasSuffix("/here") {
                connection.answer(302, ["Location": target])
            } else {
                connection.answer(307, ["Location": request.path + "/here"])
            }
            return .keep
        }
        let sink = BlobMemory()
        try await client(quickSettings(), user).download(descriptor(bytes), of: try registry.reference(), to: sink)
        #expect(sink.bytes == bytes)
        #expect(storage.requests.map(\.target) == ["/store/blob?signature=a%2Fb"])
        #expect(storage.requests.allSatisfy { $0.headers["authorization"] == nil })
        // Within the same host they stay.
        #expect(registry.server.requests.filter { $0.path.hasSuffix("/here") }.count == 1)
    }

    @Test("redirects in circles, to nowhere and to other kinds of addresses end in an error")
    func endlessRedirects() async throws {
        for location in ["/v2/a/b/manifests/t", "ftp://127.0.0.1/", "http://", "http://user@127.0.0.1/", "x\u{7f}"] {
            let registry = try MisbehavingRegistry { request, connection in
                guard request.path != "/v2/" else { return nil }
                connection.answer(301, ["Location": location])
                return .keep
            }
            do {
                _ = try await client().manifest(try registry.reference())
                Issue.record("there was no error")
            } catch let error as RegistryError {
                #expect(error.code == .invalidAnswer, "\(error)")
            }
            #expect(registry.server.requests("GET", path).count <= 6)
        }
    }

    @Test("nobody is led from TLS to plain HTTP, nor from elsewhere to this machine")
    func led() throws {
        let transport = Transport(quickSettings())
        let (far, near) = (
            try #require(WebAddress("https://r.example/")), try #require(WebAddress("https://127.1.2.3/"))
        )
        let plain = try #require(WebAddress("http://s.example/"))
        #expect(throws: RegistryError.self) { try transport.check(plain, from: far) }
        #expect(throws: RegistryError.self) { try transport.check(near, from: far) }
        #expect(throws: Never.self) { try transport.check(far, from: near) }
        let insecure = Transport(quickSettings { $0.isInsecure = true })
        #expect(throws: Never.self) { try insecure.check(plain, from: far) }
    }

    @Test("plain HTTP is not spoken with other machines")
    func plain() async throws {
        let transport = Transport(quickSettings())
        for host in ["192.0.2.1", "128.0.0.1", "127.0.0.1.example"] {
            let address = WebAddress(isSecure: false, host: host, port: nil)
            do {
                _ = try await transport.send(Transport.Request(method: .GET, address: address))
                Issue.record("there was no error")
            } catch {
                #expect(error.code == .insecure)
                #expect(error.message.contains("--insecure"))
            }
        }
    }

    @Test(
        "a token server that answers nonsense is told as such",
        arguments: [
            ("<html>", RegistryError.Code.notRegistry), ("{}", .invalidAnswer), (#"{"token":"a b"}"#, .invalidAnswer),
            (#"{"token":"a\r\nX: y"}"#, .invalidAnswer), (#"{"token":""}"#, .invalidAnswer), ("[", .invalidAnswer),
            (String(repeating: " ", count: 1 << 21), .tooLarge),
        ])
    func nonsense(answer: String, code: RegistryError.Code) async throws {
        let tokens = try tokenServer(answer)
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
