import Archives
import Synchronization
import Testing

@testable import Registry

/// Uploads to registries that break off, forget, or send us elsewhere.
@Suite struct UploadTests {
    private let bytes = content(100_000)
    private let uploads = "/v2/a/b/blobs/uploads/"

    /// What a registry has of a blob.
    private final class Received: Sendable {
        private let content = Mutex<[UInt8]>([])
        var bytes: [UInt8] { content.withLock { $0 } }
        func append(_ more: some Sequence<UInt8>) { content.withLock { $0 += more } }
        func forget() { content.withLock { $0 = [] } }
    }

    private func upload(
        _ settings: RegistrySettings, to registry: borrowing MisbehavingRegistry, _ credential: Credential? = nil
    ) async throws -> RegistryClient.UploadResult {
        let reference = try registry.reference()
        return try await client(settings, credential).upload(
            descriptor(bytes), to: reference, from: BlobBytesSource(bytes))
    }

    @Test("a part that breaks off is continued where the registry says, and the rest comes in order")
    func brokenPart() async throws {
        let (received, counter) = (Received(), Counter())
        let registry = try MisbehavingRegistry { request, connection in
            switch (request.method, request.path) {
            case ("POST", "/v2/a/b/blobs/uploads/"): connection.answer(202, ["Location": "/upload?state=1"])
            case ("PATCH", "/upload"):
                if counter.next() == 2 {
                    received.append(request.body[..<(request.body.count / 2)])
                    return .close
                }
                received.append(request.body)
                connection.answer(202, ["Location": "/upload?state=\(received.bytes.count)"])
            case ("GET", "/upload"): connection.answer(204, ["Range": "0-\(received.bytes.count - 1)"])
            case ("PUT", "/upload"):
                received.append(request.body)
                connection.answer(201)
            default: return nil
            }
            return .keep
        }
        #expect(try await upload(quickSettings { $0.uploadPartBytes = 30_000 }, to: registry) == .uploaded)
        #expect(same(received.bytes, bytes))
        let ranges = registry.server.requests("PATCH", "/upload").map { $0.headers["content-range"] }
        #expect(ranges == ["0-29999", "30000-59999", "45000-74999", "75000-99999"])
        let last = try #require(registry.server.requests("PUT", "/upload").last)
        #expect(last.target.contains("state=100000&digest=sha256%3A"))
    }

    @Test("an upload that the registry forgot begins again")
    func forgotten() async throws {
        let (received, counter) = (Received(), Counter())
        let registry = try MisbehavingRegistry { request, connection in
            switch (request.method, request.path) {
            case ("POST", "/v2/a/b/blobs/uploads/"):
                received.forget()
                connection.answer(202, ["Location": "/upload", "OCI-Chunk-Min-Length": "60000"])
            case ("PATCH", "/upload"):
                if counter.next() == 2 { return .close }
                received.append(request.body)
                connection.answer(202, ["Location": "/upload"])
            case ("PUT", "/upload"): connection.answer(201)
            default: return nil
            }
            return .keep
        }
        #expect(try await upload(quickSettings { $0.uploadPartBytes = 1000 }, to: registry) == .uploaded)
        #expect(same(received.bytes, bytes))
        #expect(registry.server.requests("POST", uploads).count == 2)
        #expect(registry.server.requests("PATCH", "/upload").allSatisfy { $0.body.count <= 60_000 })
    }

    @Test("an upload that continues on another host goes there without credentials")
    func elsewhere() async throws {
        let received = Received()
        let storage = try LoopbackServer { request, connection in
            received.append(request.body)
            connection.answer(201)
            return .keep
        }
        defer { storage.end() }
        let target = "http://\(storage.host)/put?signature=x"
        let registry = try MisbehavingRegistry { request, connection in
            if request.path == "/v2/" { return nil }
            if request.headers["authorization"] == nil {
                connection.answer(401, ["WWW-Authenticate": "Basic"])
            } else if request.method == "POST" {
                connection.answer(202, ["Location": target])
            } else {
                connection.answer(404)
            }
            return .keep
        }
        let user = Credential.password(user: "u", password: "p")
        #expect(try await upload(quickSettings(), to: registry, user) == .uploaded)
        #expect(same(received.bytes, bytes))
        #expect(storage.requests.allSatisfy { $0.headers["authorization"] == nil })
        #expect(storage.requests.first?.target.hasPrefix("/put?signature=x&digest=") == true)
    }

    @Test("a registry that keeps something else, says not where, or has no room for it, is told as such")
    func refused() async throws {
        let other = SHA256.digest(of: [1])
        for (status, headers, code) in [
            (201, ["Docker-Content-Digest": "\(other)"], RegistryError.Code.wrongContent), (413, [:], .refused),
            (507, [:], .serverFault), (429, [:], .rateLimited),
        ] {
            let registry = try MisbehavingRegistry { request, connection in
                if request.method == "POST" { connection.answer(202, ["Location": "/upload"]) }
                if request.method == "PUT" { connection.answer(status, headers) }
                return ["POST", "PUT"].contains(request.method) ? .keep : nil
            }
            let error = await #expect(throws: RegistryError.self) { try await upload(quickSettings(), to: registry) }
            #expect(error?.code == code, "\(error?.message ?? "")")
        }
        let nowhere = try MisbehavingRegistry { request, connection in
            guard request.method == "POST" else { return nil }
            connection.answer(202)
            return .keep
        }
        let error = await #expect(throws: RegistryError.self) { try await upload(quickSettings(), to: nowhere) }
        #expect(error?.code == .invalidAnswer)
    }
}
