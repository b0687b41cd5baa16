import Archives
import Foundation
import HostFiles
import ImageFixtures

@testable import Registry

/// A registry written for one test: a blob, a manifest, and whatever the test has it do wrong.
struct MisbehavingRegistry: ~Copyable {
    let server: LoopbackServer

    /// - Parameter handler: answers what it returns something for; everything else is answered by 404, the greeting by 200.
    init(_ handler: @escaping @Sendable (ServerRequest, ServerConnection) -> LoopbackServer.Next?) throws {
        server = try LoopbackServer { request, connection in
            if let next = handler(request, connection) { return next }
            if request.path == "/v2/" {
                connection.answer(200, json: "{}")
            } else {
                connection.answer(404, json: #"{"errors":[{"code":"NAME_UNKNOWN","message":"not here"}]}"#)
            }
            return .keep
        }
    }

    deinit { server.end() }

    func reference(_ rest: String = "a/b:t") throws -> ImageReference { try ImageReference("\(server.host)/\(rest)") }
}

/// Settings under which nothing waits longer than a test needs.
func quickSettings(_ change: (inout RegistrySettings) -> Void = { _ in }) -> RegistrySettings {
    var settings = RegistrySettings()
    settings.firstPause = .milliseconds(1)
    settings.maximumPause = .milliseconds(2)
    settings.certificateFolders = []
    change(&settings)
    return settings
}

/// A client with fixed credentials.
func client(
    _ settings: RegistrySettings = quickSettings(), _ credential: Credential? = nil, for registry: String? = nil
) -> RegistryClient {
    RegistryClient(settings: settings, transport: Transport(settings)) { asked, _ in
        registry == nil || registry == asked ? credential : nil
    }
}

/// Content that is its own for a seed.
func content(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
    var generator = SeededGenerator(seed: seed)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count + 8)
    while bytes.count < count {
        let word = generator.next()
        for shift in stride(from: UInt64(0), to: 64, by: 8) { bytes.append(UInt8(truncatingIfNeeded: word >> shift)) }
    }
    return Array(bytes[..<count])
}

/// Compares long content; `#expect` by itself would look for the smallest difference, for hours.
func same(_ one: [UInt8], _ other: [UInt8]) -> Bool { one == other }

func descriptor(_ bytes: [UInt8]) -> Descriptor {
    Descriptor(digest: SHA256.digest(of: bytes), sizeBytes: UInt64(bytes.count))
}

/// A small manifest that is right.
let smallManifest = Array(
    #"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{},"layers":[]}"#.utf8)

let manifestType = "application/vnd.oci.image.manifest.v1+json"

/// What suites that ask for one manifest share.
protocol ManifestAsking {}

extension ManifestAsking {
    /// Answers a request for the manifest with what a test wants.
    func registry(
        _ answer: @escaping @Sendable (ServerRequest, ServerConnection) -> Void
    ) throws -> MisbehavingRegistry {
        try MisbehavingRegistry { request, connection in
            guard request.path.hasPrefix("/v2/a/b/manifests/") else { return nil }
            answer(request, connection)
            return .keep
        }
    }

    func code(
        _ settings: RegistrySettings = quickSettings(), at registry: borrowing MisbehavingRegistry,
        _ rest: String = "a/b:t"
    ) async throws -> RegistryError {
        let reference = try registry.reference(rest)
        do {
            _ = try await client(settings).manifest(reference)
            throw RegistryError(.invalidSetting, "there was no error")
        } catch let error as RegistryError {
            return error
        }
    }
}
