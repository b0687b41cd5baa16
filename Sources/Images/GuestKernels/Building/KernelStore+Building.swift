import Archives
import FoundationEssentials
import HostFiles

extension KernelStore {
    /// Builds a kernel from the distribution's kernel source with a configuration, the project's own unless another is
    /// given. An ordinary user may do it, on a machine with a compiler. About 7 minutes of two processors.
    ///
    /// `progress` is called about five times a second while compiling, on the calling thread.
    /// - Returns: at once, when the store holds what this would build.
    /// - Throws: with nothing left behind and the store as it was; `buildFailed` names the log.
    @discardableResult
    public func build(
        _ settings: KernelBuildSettings = KernelBuildSettings(), progress: @escaping (KernelProgress) -> Void = { _ in }
    ) throws(KernelError) -> StoredKernel {
        let configuration = try Self.configuration(settings)
        let digest = SHA256.digest(of: Array(configuration.utf8)).hex
        let package = try Self.sourcePackage(settings)
        let source = KernelSource.built(package: package.name, version: package.version, configurationDigest: digest)
        if let known = try list().first(where: { $0.source == source && $0.name == settings.name }) { return known }
        try BuildRequirements.check()

        return try withStagingFolder { staging throws(KernelError) in
            let work = settings.workFolder ?? staging + "/work"
            try storing { () throws(HostFileError) in try HostPath(work).makeFolders() }
            // Another build in the same folder is waited for; it may have built just this.
            let lock = try storing { () throws(HostFileError) in
                let lock = try HostFile(HostPath(work), [.readOnly, .directory])
                try lock.lock(isExclusive: true)
                return lock
            }
            defer { extendLifetime(lock) }
            if let known = try list().first(where: { $0.source == source && $0.name == settings.name }) { return known }
            let build = KernelBuild(
                package: package, configuration: configuration, folder: work,
                jobs: settings.jobs ?? ProcessInfo.processInfo.activeProcessorCount, progress: progress)
            try build.unpackSource()
            try build.configure()
            let kernelPath = staging + "/" + Self.kernelFile
            try build.compile(to: kernelPath)
            progress(KernelProgress(.finishing, settings.name))
            return try admit(
                KernelCandidate(
                    name: settings.name, version: try build.release(),
                    architecture: try KernelImage.architecture(ofFile: kernelPath), source: source,
                    discovery: KernelConfiguration.hasACPI(configuration) ? [.acpi, .commandLine] : .commandLine,
                    kernelPath: kernelPath))
        }
    }

    private static func configuration(_ settings: KernelBuildSettings) throws(KernelError) -> String {
        guard let path = settings.configurationFile else { return KernelConfiguration.ownText }
        do throws(HostFileError) {
            return String(decoding: try HostPath(path).readWhole(limit: 1 << 20), as: UTF8.self)
        } catch {
            throw KernelError(.invalidConfiguration, "\(error); give a readable configuration file")
        }
    }

    /// The source package that was asked for, or the newest that the distribution offers.
    private static func sourcePackage(_ settings: KernelBuildSettings) throws(KernelError) -> DistributionPackage {
        if let name = settings.sourcePackage { return try DistributionPackage.available(name).package }
        let search = HostTool(["apt-cache", "pkgnames", "linux-source-"], package: "apt")
        var names = newestFirst(try search.run(orThrow: .unavailablePackage, "looking for kernel sources"))
        if names.isEmpty {
            _ = try? HostTool(["apt-get", "-qq", "update"], package: "apt").run(orThrow: .unavailablePackage, "")
            names = newestFirst(try search.run(orThrow: .unavailablePackage, "looking for kernel sources"))
        }
        for name in names {
            if let found = try DistributionPackage.newest(name) { return found.package }
        }
        throw KernelError(
            .unavailablePackage,
            "the distribution's package lists know no kernel source (linux-source-VERSION); run `sudo apt-get update`")
    }

    /// Of package names one a line, those that bear a version, the highest first.
    static func newestFirst(_ text: String) -> [String] {
        text.split(separator: "\n").map(String.init)
            .map { (name: $0, version: $0.dropFirst(13).split(separator: ".").map { Int($0) ?? -1 }) }
            .filter { $0.name.hasPrefix("linux-source-") && !$0.version.isEmpty && !$0.version.contains(-1) }
            .sorted { $1.version.lexicographicallyPrecedes($0.version) }.map(\.name)
    }
}

extension KernelConfiguration {
    static func hasACPI(_ text: String) -> Bool {
        KernelConfiguration(text).values.contains { $0 == ("CONFIG_ACPI", "y") }
    }
}
