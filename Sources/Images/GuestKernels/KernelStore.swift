/// The guest kernels of one user on this machine, each kept by digest.
///
/// A kernel never changes after it is put here. Several processes may use one store at once; a process that dies at any
/// moment leaves the store as it was before or after the operation.
///
/// A *reference* is a name (the newest of that name is meant), a version, or the first four or more digits of a digest.
public struct KernelStore: Sendable {
    /// The store's own folder; made when something is first written.
    public let root: String

    public init(root: String) { self.root = root }

    /// Every kernel, by name and then the newest first.
    public func list() throws(KernelError) -> [StoredKernel] { [] }

    /// The kernel that a reference means; without one, what `use` chose, else the newest of the project's own kernels,
    /// else the newest of all. Takes well under a millisecond: every `run` does it.
    public func resolve(_ reference: String? = nil) throws(KernelError) -> StoredKernel {
        throw KernelError(.unknownKernel, "no guest kernel is there; `swiftlet kernel install` takes the distribution's")
    }

    /// Makes a kernel the one that runs get when they ask for none.
    @discardableResult
    public func use(_ reference: String) throws(KernelError) -> StoredKernel { try resolve(reference) }

    /// Takes one kernel away: what exactly `reference` means. Running machines are not disturbed.
    /// - Returns: the kernel as it was.
    @discardableResult
    public func remove(_ reference: String) throws(KernelError) -> StoredKernel { try resolve(reference) }

    /// Takes the distribution's own kernel for virtual machines: fetches its package, takes the kernel and the modules
    /// that a guest needs out of it, and installs nothing on the host. An ordinary user may do it. About 10 seconds.
    ///
    /// `progress` is called at most about ten times a second, on the calling thread.
    /// - Returns: at once, when the store holds that version of the package already.
    /// - Throws: with nothing left behind and the store as it was.
    @discardableResult
    public func install(
        _ settings: KernelInstallationSettings = KernelInstallationSettings(),
        progress: (KernelProgress) -> Void = { _ in }
    ) throws(KernelError) -> StoredKernel {
        throw KernelError(.unavailablePackage, "installing is not there yet")
    }

    /// Builds a kernel from the distribution's kernel source with a configuration, the project's own unless another is
    /// given. An ordinary user may do it, on a machine with a compiler. About 7 minutes of two processors.
    ///
    /// `progress` is called at most about ten times a second, on the calling thread.
    /// - Returns: at once, when the store holds what this would build.
    /// - Throws: with nothing left behind and the store as it was; `buildFailed` names the log.
    @discardableResult
    public func build(
        _ settings: KernelBuildSettings = KernelBuildSettings(), progress: (KernelProgress) -> Void = { _ in }
    ) throws(KernelError) -> StoredKernel {
        throw KernelError(.buildFailed, "building is not there yet")
    }
}
