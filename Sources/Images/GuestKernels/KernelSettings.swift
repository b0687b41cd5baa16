/// What `KernelStore.install` takes; the defaults suit nearly everybody.
public struct KernelInstallationSettings: Sendable {
    /// The distribution's package, a real one or one that depends on the newest.
    public var package = KernelInstallationSettings.cloudPackage
    /// What the kernel is called in the store.
    public var name = "debian-cloud"
    /// A package file that is here already, instead of fetching one.
    public var packageFile: String?
    /// Modules to take beside those that every guest needs, by the names that `modprobe` knows.
    public var additionalModules: [String] = []

    public init() {}

    /// Debian's kernel for virtual machines, for this machine's processor.
    public static var cloudPackage: String {
        #if arch(arm64)
            "linux-image-cloud-arm64"
        #else
            "linux-image-cloud-amd64"
        #endif
    }
}

/// What `KernelStore.build` takes.
public struct KernelBuildSettings: Sendable {
    /// The configuration: a file of `CONFIG_X=value` and `# CONFIG_X is not set` lines over `make allnoconfig`; nil takes
    /// the project's own, which is part of the program.
    public var configurationFile: String?
    /// What the kernel is called in the store.
    public var name = "swiftlet"
    /// The source package; nil takes the newest that the distribution offers.
    public var sourcePackage: String?
    /// Where sources and objects are kept between builds, so that a small change builds in seconds; nil uses a folder
    /// of its own and removes it.
    public var workFolder: String?
    /// Compilers at once; nil means one for each processor.
    public var jobs: Int?

    public init() {}
}
