import FoundationEssentials
import HostFiles

extension KernelStore {
    /// Takes the distribution's own kernel for virtual machines: fetches its package, takes the kernel and the modules
    /// that a guest needs out of it, and installs nothing on the host. An ordinary user may do it. About 10 seconds.
    ///
    /// `progress` is called a few dozen times, on the calling thread.
    /// - Returns: at once, when the store holds that version of the package already.
    /// - Throws: with nothing left behind and the store as it was.
    @discardableResult
    public func install(
        _ settings: KernelInstallationSettings = KernelInstallationSettings(),
        progress: (KernelProgress) -> Void = { _ in }
    ) throws(KernelError) -> StoredKernel {
        progress(KernelProgress(.fetching, settings.packageFile ?? settings.package))
        let package = try Self.kernelPackage(settings)
        let known = try list().first {
            $0.source == .package(name: package.name, version: package.version) && $0.name == settings.name
                && $0.additionalModules == settings.additionalModules.sorted()
                && $0.standardModules == ModuleSelection.standard
        }
        if let known { return known }

        return try withStagingFolder { staging throws(KernelError) in
            progress(KernelProgress(.fetching, "\(package.name) \(package.version)"))
            let file = if let given = settings.packageFile { given } else { try package.fetch(into: staging) }
            progress(KernelProgress(.unpacking, package.name))
            let tree = staging + "/tree"
            try DistributionPackage.unpack(file, into: tree)
            let unpacked = try UnpackedKernelPackage(folder: tree)
            let kernelPath = staging + "/" + Self.kernelFile
            progress(KernelProgress(.unpacking, "vmlinux"))
            try unpacked.extractKernel(to: kernelPath)
            let archive = try unpacked.archive(
                additionalModules: settings.additionalModules, scratch: staging + "/module"
            ) { progress(KernelProgress(.unpacking, "\($0).ko")) }
            let modulesPath = staging + "/" + Self.modulesFile
            try storing { () throws(HostFileError) in
                try HostFile(HostPath(modulesPath), [.writeOnly, .create, .truncate]).write(archive)
            }
            progress(KernelProgress(.finishing, settings.name))
            return try admit(
                KernelCandidate(
                    name: settings.name, version: unpacked.release,
                    architecture: try KernelImage.architecture(ofFile: kernelPath),
                    source: .package(name: package.name, version: package.version), discovery: .acpi,
                    arguments: Self.distributionArguments, additionalModules: settings.additionalModules,
                    standardModules: ModuleSelection.standard, kernelPath: kernelPath, modulesPath: modulesPath))
        }
    }

    /// Spares a kernel for every machine what a microVM has not: more serial ports than one, and tests of its ciphers.
    static let distributionArguments = "8250.nr_uarts=1 cryptomgr.notests"

    /// The package that holds the kernel itself: the newest one of a package that only depends on it.
    private static func kernelPackage(_ settings: KernelInstallationSettings) throws(KernelError) -> DistributionPackage
    {
        if let file = settings.packageFile { return try DistributionPackage.ofFile(file) }
        let found = try DistributionPackage.available(settings.package)
        guard let real = found.depends.first(where: { $0.hasPrefix("linux-image-") }) else { return found.package }
        return try DistributionPackage.available(real).package
    }
}
