import AgentClient
import ArgumentParser
import HostFiles
import LinuxCalls
import Registry
import Synchronization

/// How registries are spoken to.
struct RegistryOptions: ParsableArguments {
    @Flag(help: "Speak plain HTTP, or TLS that nobody vouches for, with hosts other than this computer too.")
    var insecure = false
    @Option(
        help: ArgumentHelp(
            "Trust the registry's certificate if an authority in this file signed it.", valueName: "file"),
        completion: .file())
    var caFile: String?
    @Option(
        help: ArgumentHelp(
            "Ask another host first for a registry's images. May be repeated.", valueName: "registry=host"))
    var mirror: [String] = []

    func settings() throws -> RegistrySettings {
        var settings = try RegistrySettings(environment: try Self.environment())
        settings.isInsecure = insecure
        settings.certificateFile = caFile.map(HostPath.init)
        for mirror in mirror { try settings.addMirror(mirror) }
        return settings
    }

    func client() throws -> RegistryClient {
        RegistryClient(settings: try settings(), credentials: try Self.credentials())
    }

    static func credentials() throws -> CredentialStore { CredentialStore(environment: try environment()) }

    private static func environment() throws -> [String: String] {
        let names = [
            "DOCKER_CONFIG", "HOME", "REGISTRY_AUTH_FILE", "SSL_CERT_FILE", "SWIFTLET_REGISTRY_MIRRORS",
            "XDG_RUNTIME_DIR",
        ]
        var environment: [String: String] = [:]
        for name in names { environment[name] = try ForeignText.variable(name) }
        return environment
    }
}

/// Waits for work that is asynchronous, from a command, which is not.
func waitFor<R: Sendable>(_ body: @escaping @Sendable () async throws -> R) throws -> R {
    let outcome = Mutex<Result<R, any Error>?>(nil)
    let isDone = try SharedEvent()
    Task.detached {
        let result: Result<R, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        outcome.withLock { $0 = result }
        isDone.signal()
    }
    _ = waitUntilReadable(isDone.descriptor, until: .never)
    guard let result = outcome.withLock({ $0 }) else { preconditionFailure("signalled without an outcome") }
    return try result.get()
}
