import HostFiles

extension CredentialStore {
    /// Keeps a registry's credentials in the file, or with the program that the file names, in one step; everything else
    /// in the file stays. Only this user may read it.
    /// - Returns: where they are now, for a person.
    @discardableResult
    public func store(_ credential: Credential, for registry: String) async throws(RegistryError) -> String {
        guard let path = loginFile else {
            throw RegistryError(
                .unusableCredentials,
                "there is no place for credentials; set HOME, or REGISTRY_AUTH_FILE to the file that shall hold them")
        }
        let file = try Self.read(path)
        if let name = file?.helper(for: registry) {
            try await helper(name).store(credential, for: Self.server(registry))
            return "docker-credential-\(name)"
        }
        try Self.change(path) { $0.set(credential, for: registry) }
        return "\(path)"
    }

    /// Forgets a registry's credentials wherever they are kept.
    /// - Returns: whether there were any.
    public func erase(_ registry: String) async throws(RegistryError) -> Bool {
        var hadAny = false
        for path in files {
            guard let file = try Self.read(path) else { continue }
            if let name = file.helper(for: registry) {
                let helper = try helper(name)
                if try await helper.get(Self.server(registry)) != nil {
                    try await helper.erase(Self.server(registry))
                    hadAny = true
                }
            }
            guard file.credential(for: registry, repository: nil) != nil else { continue }
            hadAny = true
            try Self.change(path) { $0.set(nil, for: registry) }
        }
        return hadAny
    }

    /// Reads, changes and replaces a file while no other command of ours does.
    private static func change(_ path: HostPath, _ body: (inout AuthFile) -> Void) throws(RegistryError) {
        let target = resolved(path)
        let lock = try locked(parent(of: target))
        guard var file = try read(target) ?? AuthFile([]) else { return }
        body(&file)
        do { try target.replaceWhole(file.bytes, mode: 0o600) } catch { throw RegistryError(error) }
        withExtendedLifetime(lock) {}
    }

    private static func locked(_ folder: HostPath) throws(RegistryError) -> HostFile {
        do {
            try folder.makeFolders(mode: 0o700)
            let lock = try HostFile(folder, [.readOnly, .directory])
            try lock.lock(isExclusive: true)
            return lock
        } catch {
            throw RegistryError(error)
        }
    }

    private static func parent(of path: HostPath) -> HostPath {
        guard let slash = path.bytes.lastIndex(of: UInt8(ascii: "/")) else { return HostPath(".") }
        return slash == 0 ? HostPath("/") : HostPath(bytes: Array(path.bytes[..<slash]))
    }

    /// Where the file lies that a link of this name points to, so that the link stays.
    private static func resolved(_ path: HostPath) -> HostPath {
        var path = path
        for _ in 0..<8 {
            guard let target = try? path.linkTarget() else { return path }
            path = target.first == UInt8(ascii: "/") ? HostPath(bytes: target) : parent(of: path).appending(target)
        }
        return path
    }
}
