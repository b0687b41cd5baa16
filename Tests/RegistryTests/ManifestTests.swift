import Archives
import CodedErrors
import Testing

@testable import Registry

/// Manifests from registries that do what they should not.
@Suite struct ManifestTests: ManifestAsking {
    private let path = "/v2/a/b/manifests/t"

    @Test("a manifest is read by tag and by digest, with what kind it is")
    func good() async throws {
        let registry = try registry { request, connection in
            connection.answer(200, ["Content-Type": manifestType], smallManifest, isHead: request.method == "HEAD")
        }
        let digest = SHA256.digest(of: smallManifest)
        let client = client()
        let manifest = try await client.manifest(try registry.reference())
        #expect(manifest.bytes == smallManifest)
        #expect(manifest.descriptor.digest == digest)
        #expect(manifest.descriptor.mediaType == manifestType)
        #expect(!manifest.isIndex)
        #expect(try await client.manifest(try registry.reference().pinned(to: digest)) == manifest)
        // Without its digest in the answer to HEAD, the manifest itself tells.
        #expect(try await client.descriptor(of: try registry.reference()) == manifest.descriptor)
        #expect(registry.server.requests("GET", "/v2/a/b/manifests/\(digest)").count == 1)
    }

    @Test("what a tag names now is told by HEAD alone where the registry says it all")
    func head() async throws {
        let digest = SHA256.digest(of: smallManifest)
        let registry = try registry { request, connection in
            connection.answer(
                200,
                [
                    "Content-Type": manifestType, "Docker-Content-Digest": "\(digest)",
                    "Content-Length": "\(smallManifest.count)",
                ], [], isHead: true)
        }
        let found = try await client().descriptor(of: try registry.reference())
        #expect(found == Descriptor(mediaType: manifestType, digest: digest, sizeBytes: UInt64(smallManifest.count)))
        #expect(registry.server.requests("GET", path).isEmpty)
    }

    @Test("other content than the digest that was asked for, or announced, is refused")
    func wrongDigest() async throws {
        let registry = try registry { _, connection in
            connection.answer(
                200, ["Content-Type": manifestType, "Docker-Content-Digest": "\(SHA256.digest(of: [1]))"], smallManifest
            )
        }
        #expect(try await code(at: registry).code == .wrongContent)
        #expect(try await code(at: registry, "a/b@\(SHA256.digest(of: [2]))").code == .wrongContent)
    }

    @Test("a web page is called one, whatever its status")
    func webPage() async throws {
        for status in [200, 404, 403] {
            let registry = try registry { _, connection in
                connection.answer(status, ["Content-Type": "text/html"], Array("<html>Welcome</html>".utf8))
            }
            #expect(try await code(at: registry).code == .notRegistry)
        }
    }

    @Test("a manifest of 100 MB is not read, whether it is announced or just comes")
    func tooLarge() async throws {
        let announced = try registry { _, connection in
            connection.answer(200, ["Content-Type": manifestType, "Content-Length": "104857600"], [])
        }
        #expect(try await code(at: announced).code == .tooLarge)
        let chunked = try MisbehavingRegistry { request, connection in
            guard request.path.hasPrefix("/v2/a/b/manifests/") else { return nil }
            connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            let piece = Array("10000\r\n".utf8) + [UInt8](repeating: 0x20, count: 0x10000) + Array("\r\n".utf8)
            for _ in 0..<100 { connection.send(piece) }
            return .close
        }
        #expect(try await code(at: chunked).code == .tooLarge)
    }

    @Test("headers without end are cut off")
    func endlessHeaders() async throws {
        let registry = try MisbehavingRegistry { request, connection in
            guard request.path.hasPrefix("/v2/a/b/manifests/") else { return nil }
            connection.send("HTTP/1.1 200 OK\r\n")
            for number in 0..<5_000 { connection.send("X-\(number): \(String(repeating: "x", count: 1000))\r\n") }
            return .close
        }
        #expect(try await code(quickSettings { $0.attempts = 1 }, at: registry).code == .invalidAnswer)
    }

    @Test(
        "what is no manifest is refused",
        arguments: [
            (manifestType, "no JSON"), (manifestType, "[1]"), (manifestType, #"{"schemaVersion":1}"#),
            (manifestType, #"{"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#),
        ])
    func notManifest(type: String, text: String) async throws {
        let registry = try registry { _, connection in
            connection.answer(200, ["Content-Type": type], Array(text.utf8))
        }
        #expect(try await code(at: registry).code == .invalidAnswer)
    }
}
