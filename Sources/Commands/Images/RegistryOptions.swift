import ArgumentParser
import Dispatch
import HostFiles
import Registry
import Synchronization

/// How registries are spoken to.
struct RegistryOptions: ParsableArguments {
    @Flag(help: "Speak plain HTTP, or TLS that nobody vouches for, with hosts other than this computer too.")
    var insecure = false
    @Option(
        help: ArgumentHelp("Trust the registry's certificate if an authority in this file signed it.", valueName: "file"),
        completion: .file())
    var caFile: String?
    @Option(
        help: ArgumentHelp("Ask another host first for a registry's images. May be repeated.", valueName: "registry=host"))
    var mirror: [String] = []

    func settings() throws -> RegistrySettings {
        var settings = try RegistrySettings(environment: Self.environment)
        settings.isInsecure = insecure
        settings.certificateFile = caFile.map(HostPath.init)
        for mirror in mirror { try settings.addMirror(mirror) }
        return settings
    }

    func client() throws -> RegistryClient { RegistryClient(settings: try settings(), credentials: Self.credentials) }

    static var credentials: CredentialStore { CredentialStore(environment: environment) }

    private static var environment: [String: String] {
        Dictionary(
            CommandLine.environmentList.compactMap { text in
                text.firstIndex(of: "=").map { (String(text[..<$0]), String(text[text.index(after: $0)...])) }
            }, uniquingKeysWith: { first, _ in first })
    }
}

/// Waits for work that is asynchronous, from a command, which is not.
func waitFor<R: Sendable>(_ body: @escaping @Sendable () async throws -> R) throws -> R {
    let outcome = Mutex<Result<R, any Error>?>(nil)
    let isDone = DispatchSemaphore(value: 0)
    Task.detached {
        let result: Result<R, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        outcome.withLock { $0 = result }
        isDone.signal()
    }
    isDone.wait()
    guard let result = outcome.withLock({ $0 }) else { preconditionFailure("signalled without an outcome") }
    return try result.get()
}
