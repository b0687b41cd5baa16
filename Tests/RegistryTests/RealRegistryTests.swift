import Archives
import Foundation
import HostFiles
import ImageFixtures
import Testing

@testable import Registry

/// A real registry, filled and read by skopeo.
@Suite(.enabled(if: RealRegistry.isInstalled, "docker-registry, skopeo, umoci and openssl are needed: Scripts/setup"))
struct RealRegistryTests {
    private struct ImageManifest: Decodable {
        struct Blob: Decodable {
            let mediaType: String
            let digest: String
            let size: UInt64

            func descriptor() throws -> Descriptor {
                Descriptor(
                    mediaType: mediaType, digest: try #require(SHA256Digest(description: digest)), sizeBytes: size)
            }
        }
        let config: Blob
        let layers: [Blob]

        init(_ manifest: Manifest) throws { self = try JSONDecoder().decode(Self.self, from: Data(manifest.bytes)) }
    }

    /// Every blob of an image, downloaded.
    private func blobs(_ client: RegistryClient, _ reference: ImageReference) async throws -> [(Descriptor, [UInt8])] {
        let image = try ImageManifest(try await client.manifest(reference))
        var found: [(Descriptor, [UInt8])] = []
        for blob in [image.config] + image.layers {
            let sink = BlobMemory()
            try await client.download(try blob.descriptor(), of: reference, to: sink)
            found.append((try blob.descriptor(), sink.bytes))
        }
        return found
    }

    @Test("what skopeo gave is read: tags, manifest by tag and digest, and every blob")
    func pull() async throws {
        let registry = try RealRegistry()
        try registry.fill()
        let client = client()
        let reference = try registry.reference()
        try await client.ping(registry.host)
        #expect(try await client.tags(of: reference) == ["t"])
        let manifest = try await client.manifest(reference)
        #expect(manifest.descriptor.mediaType == manifestType)
        #expect(try await client.descriptor(of: reference) == manifest.descriptor)
        #expect(try await client.manifest(reference.pinned(to: manifest.descriptor.digest)) == manifest)
        for (blob, bytes) in try await blobs(client, reference) {
            #expect(same(bytes, try readFile(registry.scratch.appending("layout/blobs/sha256/\(blob.digest.hex)"))))
            #expect(try await client.hasBlob(blob.digest, in: reference))
        }
        #expect(try await !client.hasBlob(SHA256.digest(of: [1]), in: reference))
        for missing in ["a/b:none", "none:t"] {
            do {
                _ = try await client.manifest(try registry.reference(missing))
                Issue.record("there was no error")
            } catch let error as RegistryError {
                #expect(error.code == .notFound, "\(error)")
            }
        }
    }

    @Test("a half of a blob is continued by a range of the real thing")
    func resume() async throws {
        let registry = try RealRegistry()
        try registry.fill()
        let client = client()
        let reference = try registry.reference()
        let layer = try #require(try ImageManifest(try await client.manifest(reference)).layers.first).descriptor()
        let whole = try readFile(registry.scratch.appending("layout/blobs/sha256/\(layer.digest.hex)"))
        try registry.scratch.write("half", Array(whole[..<(whole.count / 2)]))
        try await client.download(
            layer, of: reference, to: try BlobFile(HostPath(registry.scratch.appending("half"))))
        #expect(same(try readFile(registry.scratch.appending("half")), whole))
    }

    @Test("what is pushed, in one piece, in parts and by mounting, is what skopeo reads")
    func push() async throws {
        let registry = try RealRegistry()
        try registry.fill()
        var settings = quickSettings()
        settings.uploadPartBytes = 200_000
        let (whole, parts) = (client(), client(settings))
        let (source, target) = (try registry.reference(), try registry.reference("c/d:new"))
        let manifest = try await whole.manifest(source)
        let content = try await blobs(whole, source)
        for (index, (blob, bytes)) in content.enumerated() {
            let client = index == 0 ? whole : parts
            let bytes = BlobBytesSource(bytes)
            #expect(try await client.upload(blob, to: target, from: bytes) == .uploaded)
            #expect(try await client.upload(blob, to: target, from: bytes) == .wasThere)
            let third = try registry.reference("e/f:new")
            #expect(try await client.upload(blob, to: third, from: bytes, mountingFrom: "c/d") == .mounted)
        }
        #expect(content.contains { $0.1.count > 400_000 })
        for name in ["c/d:new", "e/f:new"] {
            let pushed = try await whole.push(
                manifest: manifest.bytes, mediaType: manifest.descriptor.mediaType, to: try registry.reference(name))
            #expect(pushed == manifest.descriptor.digest)
            try shell(
                """
                skopeo --insecure-policy copy --quiet --src-tls-verify=false docker://\(registry.host)/\(name) oci:back:t
                for blob in back/blobs/sha256/*; do cmp "$blob" "layout/blobs/sha256/${blob##*/}"; done
                rm -r back
                """, in: registry.scratch.path)
        }
        #expect(try await !whole.mount(SHA256.digest(of: [1]), from: "c/d", to: target))
    }

    @Test("a blob that is not what it is called, and a manifest without its blobs, are refused by the registry")
    func wrongPush() async throws {
        let registry = try RealRegistry()
        let client = client()
        let reference = try registry.reference()
        let wrong = Descriptor(digest: SHA256.digest(of: [1]), sizeBytes: 3)
        let first = await #expect(throws: RegistryError.self) {
            try await client.upload(wrong, to: reference, from: BlobBytesSource([1, 2, 3]))
        }
        #expect(first?.code == .refused)
        let digest = SHA256.digest(of: [2])
        let manifest = """
            {"schemaVersion":2,"mediaType":"\(manifestType)","config":{"mediaType":"application/vnd.oci.image.config.v1+json",\
            "digest":"\(digest)","size":1},"layers":[]}
            """
        let second = await #expect(throws: RegistryError.self) {
            try await client.push(manifest: Array(manifest.utf8), mediaType: manifestType, to: reference)
        }
        #expect([.refused, .notFound].contains(second?.code), "\(second?.message ?? "")")
        // Shorter than announced: it changed meanwhile.
        let third = await #expect(throws: RegistryError.self) {
            try await client.upload(wrong, to: reference, from: BlobBytesSource([1]))
        }
        #expect(third?.code == .unusableFile)
    }

    @Test("a registry with passwords takes the right one, from the file where login puts it")
    func passwords() async throws {
        let registry = try RealRegistry(hasPassword: true)
        try registry.fill("--dest-tls-verify=false --dest-creds 'ali:open sesame'")
        let store = CredentialStore(environment: ["DOCKER_CONFIG": registry.scratch.path])
        let stored = RegistryClient(settings: quickSettings(), credentials: store)
        let refused = await #expect(throws: RegistryError.self) { try await stored.manifest(try registry.reference()) }
        #expect(refused?.code == .unauthorized)
        #expect(refused?.message.contains("swiftlet login \(registry.host)") == true)
        await #expect(throws: RegistryError.self) {
            try await stored.verify(.password(user: "ali", password: "no"), for: registry.host)
        }
        try await stored.verify(RealRegistry.credential, for: registry.host)
        try await store.store(RealRegistry.credential, for: registry.host)
        #expect(try await blobs(stored, try registry.reference()).count == 2)
        // Others read what was stored.
        try shell(
            """
            skopeo inspect --authfile config.json --tls-verify=false docker://\(registry.host)/a/b:t > /dev/null
            """, in: registry.scratch.path)
        let blob = content(10)
        #expect(
            try await stored.upload(
                descriptor(blob), to: try registry.reference("x:y"), from: BlobBytesSource(blob)) == .uploaded)
    }
}
