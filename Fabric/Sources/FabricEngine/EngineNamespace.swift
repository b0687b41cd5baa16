import FabricProtocol
import LinuxCalls

/// The fabric's network namespace, and the one that it was started from. With one thread only.
public struct EngineNamespace: ~Copyable {
    let own: FileDescriptor
    let outer: FileDescriptor
    private static let current: [UInt8] = [UInt8]("/proc/thread-self/ns/net".utf8)

    /// Enters the namespace that is bound to the folder's file, or makes one and binds it there, so that it outlives this
    /// process and whoever starts monitors finds it.
    public init(_ folder: EngineFolder) throws(FabricFault) {
        do throws(LinuxError) {
            let outer = try FileTree.open(Self.current, .readOnly)
            let own = try Self.enter(folder)
            self.outer = outer
            self.own = own
        } catch {
            throw FabricFault(
                error.number == 1
                    ? "a network namespace takes CAP_SYS_ADMIN, which this user has not; run it as root"
                    : "the network namespace \(folder.namespace) cannot be entered: \(error)")
        }
    }

    private init(own: consuming FileDescriptor, outer: consuming FileDescriptor) {
        self.own = own
        self.outer = outer
    }

    /// The same two namespaces, for somebody else.
    borrowing func duplicate() throws(FabricFault) -> EngineNamespace {
        do throws(LinuxError) {
            return EngineNamespace(own: try own.duplicate(), outer: try outer.duplicate())
        } catch { throw FabricFault("the network namespaces cannot be kept open: \(error)") }
    }

    private static func enter(_ folder: EngineFolder) throws(LinuxError) -> FileDescriptor {
        if let bound = try bound(folder) {
            try ProcessSetup.joinNetwork(bound.number)
            return bound
        }
        try Namespaces.leave(.network)
        let own = try FileTree.open(current, .readOnly)
        _ = try open(folder.namespace, [.writeOnly, .create], mode: 0o444)
        try MountTable.mount(current, at: [UInt8](folder.namespace.utf8), type: [], .bind)
        return own
    }

    /// What is bound to the file; nil when it is a file and no more, or not there.
    private static func bound(_ folder: EngineFolder) throws(LinuxError) -> FileDescriptor? {
        let file: FileDescriptor
        do throws(LinuxError) { file = try open(folder.namespace, .readOnly) } catch {
            if error.number == 2 { return nil }
            throw error
        }
        // Namespaces have a file system of their own. Source: statfs(2), NSFS_MAGIC.
        guard fileSystemType(file.number) == 0x6e73_6673 else { return nil }
        return file
    }

    /// Runs in the namespace that the fabric was started from.
    borrowing func outside<Result>(_ body: () throws(FabricFault) -> Result) throws(FabricFault) -> Result {
        do throws(LinuxError) { try ProcessSetup.joinNetwork(outer.number) } catch {
            throw FabricFault("the computer's own network cannot be entered: \(error)")
        }
        defer {
            // What was entered before can be entered again.
            _ = try? ProcessSetup.joinNetwork(own.number)
        }
        return try body()
    }

    /// Lets the namespace go: with the last process in it, its links go too.
    public static func unbind(_ folder: EngineFolder) {
        try? MountTable.unmount([UInt8](folder.namespace.utf8), isLazy: true)
        try? removeFile(folder.namespace)
    }
}
