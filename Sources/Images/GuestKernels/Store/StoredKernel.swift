/// One kernel in the store: what a monitor boots, and what has to be given to it.
public struct StoredKernel: Equatable, Sendable {
    /// SHA-256 of the kernel followed by its modules: `sha256:` and 64 digits. Identifies both together.
    public let digest: String
    /// `swiftlet`, `debian-cloud`, or what its owner called it; versions of one kernel share their name.
    public let name: String
    /// What `uname -r` says in a guest.
    public let version: String
    /// In the kernel's own words: `x86_64`, `aarch64`.
    public let architecture: String
    public let source: KernelSource
    /// The uncompressed ELF kernel, a file that never changes.
    public let path: String
    /// Length of that file.
    public let sizeBytes: UInt64
    /// An uncompressed newc archive with `modules/*.ko` and `modules/order` (names in load order, one a line), to be
    /// appended to the initial file system; nil for a kernel that has everything built in.
    public let modulesPath: String?
    /// Length of that archive, or 0.
    public let modulesSizeBytes: UInt64
    public let discovery: KernelDiscovery
    /// Words that this kernel wants on its command line, beside those that the machine needs; often empty.
    public let arguments: String
    /// Modules that were asked for beside those that every guest needs, sorted.
    public let additionalModules: [String]
    /// Those that were to be in it for every guest, as the version that made it had them; empty for one without modules.
    public let standardModules: [String]
    /// When it was put in the store, in seconds since 1970.
    public let installedSeconds: Int64
    /// Whether `resolve()` gives this one when nothing is asked for.
    public let isDefault: Bool

    /// What the kernel takes with its modules.
    public var wholeSizeBytes: UInt64 { sizeBytes + modulesSizeBytes }

    /// The first twelve digits of the digest, enough for people.
    public var shortDigest: String { String(digest.dropFirst(7).prefix(12)) }
}
