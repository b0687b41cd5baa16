import Testing

@testable import Registry

/// Where registries send us, and what goes along.
@Suite struct RedirectTests {
    private let path = "/v2/a/b/manifests/t"
    private let basic = "Basic dXNlcjpzZWNyZXQ="
    private let user = Credential.password(user: "user", password: "secret")

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
}
