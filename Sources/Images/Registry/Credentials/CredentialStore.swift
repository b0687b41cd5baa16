public import HostFiles

/// The files in which people's programs keep credentials for registries.
public struct CredentialStore: Sendable {
    /// Looked into in this order; what is missing is passed over.
    public let files: [HostPath]
    /// Where `login` writes; nil when nothing says where that would be.
    public let loginFile: HostPath?
    private let searchPath: String

    /// - Parameter environment: decides by `REGISTRY_AUTH_FILE` alone where it is set, else by `XDG_RUNTIME_DIR`,
    ///   `DOCKER_CONFIG` and `HOME`; `PATH` says where programs lie that keep credentials.
    public init(environment: [String: String]) {
        searchPath = environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin"
        func path(_ variable: String, _ rest: String) -> HostPath? {
            environment[variable].flatMap { $0.isEmpty ? nil : HostPath($0 + rest) }
        }
        if let only = path("REGISTRY_AUTH_FILE", "") {
            files = [only]
            loginFile = only
            return
        }
        let docker = path("DOCKER_CONFIG", "/config.json") ?? path("HOME", "/.docker/config.json")
        files = [path("XDG_RUNTIME_DIR", "/containers/auth.json"), docker].compactMap(\.self)
        loginFile = docker ?? files.first
    }

    /// What is kept for a registry, or nil.
    ///
    /// - Parameter repository: chooses where a file has credentials for one part of a registry only.
    /// - Throws: `.unusableCredentials` when a file is damaged or a program that keeps credentials does not work.
    public func credential(
        for registry: String, repository: String? = nil
    ) async throws(RegistryError) -> Credential? {
        for path in files {
            guard let file = try Self.read(path) else { continue }
            if let name = file.helper(for: registry),
                let credential = try await helper(name).get(Self.server(registry))
            {
                return credential
            }
            if let credential = file.credential(for: registry, repository: repository) { return credential }
        }
        return nil
    }

    func helper(_ name: String) throws(RegistryError) -> CredentialHelper {
        try CredentialHelper(name, searchPath: searchPath)
    }

    /// How a helper knows a registry.
    static func server(_ registry: String) -> String { AuthFile.keys(of: registry)[0] }

    /// Nil for a file that is not there.
    static func read(_ path: HostPath) throws(RegistryError) -> AuthFile? {
        let bytes: [UInt8]
        do { bytes = try path.readWhole(limit: AuthFile.maximumBytes) } catch {
            if error.isMissing { return nil }
            throw RegistryError(.unusableCredentials, "the credentials for registries: \(error)")
        }
        guard let file = AuthFile(bytes) else {
            throw RegistryError(
                .unusableCredentials,
                "\(path) is no file of credentials: it is not a JSON object; correct it, or remove it and use "
                    + "swiftlet login")
        }
        return file
    }
}
