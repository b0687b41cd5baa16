import CLinux
import LinuxCalls

/// Takes away what a monitor could see and do beside its machine: file system, network, other processes' memory and
/// messages, capabilities.
///
/// Landlock says the same of files once more, and is what is left where a user may make no namespace.
///
/// Entered once, when everything that is opened by name is open and before any thread is started. What is left of the file
/// system is an empty folder that cannot be written to, and in it, at their own paths, the folders of its Unix sockets.
public struct Enclosure: Sendable {
    /// What could not be had, and why; the machine runs without it.
    public struct Shortfall: Sendable, CustomStringConvertible {
        public let description: String
    }

    /// More than connections of all kinds, disks and shared files come to.
    private static let mostDescriptors: UInt64 = 4096

    private let isOpen: Bool
    /// Who the monitor becomes, of both users and groups; nil: it stays who it is.
    private let identity: UInt32?
    /// The folders in which sockets are connected to by name.
    private let socketFolders: [[UInt8]]
    /// Those below which files are opened and changed.
    private let fileFolders: [String]
    /// Whether files of many users are served: that takes capabilities over the host's users.
    private let servesFiles: Bool

    /// - Parameters:
    ///   - socketPaths: of sockets that are connected to, or removed, by name while the machine runs.
    ///   - sharedFolders: whose files are served.
    ///   - otherFolders: below whose descriptors files are opened too.
    ///   - identity: a user and group that nobody else is, for a monitor that root starts. What is made or removed by name
    ///     while it runs lies in folders that are that user's already.
    public init(socketPaths: [String], sharedFolders: [String], otherFolders: [String] = [], identity: UInt32? = nil) {
        isOpen = false
        self.identity = identity
        servesFiles = !sharedFolders.isEmpty
        fileFolders = sharedFolders + otherFolders
        socketFolders = socketPaths.map { path in
            let bytes = Array(path.utf8)
            guard let slash = bytes.lastIndex(of: 0x2f) else { return [0x2e] }
            return slash == 0 ? [0x2f] : Array(bytes[..<slash])
        }
    }

    private init() {
        isOpen = true
        identity = nil
        socketFolders = []
        fileFolders = []
        servesFiles = false
    }

    /// Nothing is taken away.
    public static let none = Enclosure()

    /// - Returns: what the host does not let this user do.
    /// - Throws: what must not fail: giving up capabilities.
    public func enter() throws(LinuxError) -> [Shortfall] {
        if isOpen { return [] }
        var shortfalls: [Shortfall] = []
        let isRoot = Namespaces.effectiveUser() == 0
        let keepsFiles = servesFiles && isRoot
        let folders = try FolderRules(removing: socketFolders, everything: fileFolders.map { Array($0.utf8) })
        do throws(LinuxError) {
            let kinds: NamespaceKinds = [.mount, .hostName, .interProcess, .network]
            let (user, group) = (Namespaces.effectiveUser(), Namespaces.effectiveGroup())
            // A user namespace has no capability over the files of users that it does not know, and one that knows nobody
            // has none over anything: it comes last then.
            if keepsFiles || identity != nil {
                try Namespaces.leave(kinds)
            } else if try leave(kinds, isRoot: isRoot) {
                // Who this process is stays the same, and nobody else is anybody.
                try UserNamespace.map(user: (user, user), group: (group, group))
            }
            try replaceRoot()
        } catch {
            shortfalls.append(
                Shortfall(
                    description: "no namespaces of its own, and the host's file system in sight (\(error)): "
                        + "this user may make no user namespace here; its system calls are filtered nevertheless"))
        }
        if let identity {
            try PrivilegeDrop.become(user: identity, group: identity)
            try? Namespaces.leave(.user)
        }
        try PrivilegeDrop.refuseNewPrivileges()
        try PrivilegeDrop.keepOnly(keepsFiles ? .files : [])
        try PrivilegeDrop.leaveNoCoreFile()
        try ProcessSetup.lowerLimit(.openFiles, to: Self.mostDescriptors)
        do throws(LinuxError) { try folders.apply() } catch {
            // Where the root is empty, little is missed.
            if !shortfalls.isEmpty || (error.number != EOPNOTSUPP && error.number != ENOSYS) {
                shortfalls.append(Shortfall(description: "no Landlock to keep it from the host's files (\(error))"))
            }
        }
        return shortfalls
    }

    /// Folders, open, and what may be done below each.
    private final class FolderRules {
        private var folders: [(number: Int32, access: Landlock.Access)] = []

        init(removing: [[UInt8]], everything: [[UInt8]]) throws(LinuxError) {
            for path in removing { try add(path, .removing) }
            for path in everything { try add(path, .everything) }
        }

        private func add(_ path: [UInt8], _ access: Landlock.Access) throws(LinuxError) {
            folders.append((try FileTree.open(path, .path).release(), access))
        }

        func apply() throws(LinuxError) {
            try Landlock.restrict(allowing: folders.map { ($0.number, $0.access) })
        }

        deinit { for folder in folders { _ = FileDescriptor(owning: folder.number) } }
    }

    /// - Returns: whether there is a user namespace. Nobody gets one who was moved by chroot(2), as everybody in the emulated
    ///   host is; root can do without.
    private func leave(_ kinds: NamespaceKinds, isRoot: Bool) throws(LinuxError) -> Bool {
        do throws(LinuxError) {
            try Namespaces.leave(kinds.union(.user))
            return true
        } catch {
            guard isRoot else { throw error }
        }
        try Namespaces.leave(kinds)
        return false
    }

    private func replaceRoot() throws(LinuxError) {
        let stage = Array("/proc".utf8)
        let here = try Namespaces.workingDirectory()
        try MountTable.mount([], at: [0x2f], type: [], [.recursive, .isPrivate])
        try MountTable.mount(
            Array("jail".utf8), at: stage, type: Array("tmpfs".utf8), [.noSetUserID, .noDevices, .noExecution],
            options: Array("size=64k,nr_inodes=64,mode=555".utf8))
        for folder in socketFolders {
            let whole = folder.first == 0x2f ? folder : here + [0x2f] + folder
            try makeFolders(whole, below: stage)
            try bind(whole, at: stage + whole)
        }
        try MountTable.mount(
            [], at: stage, type: [], [.remount, .bind, .readOnly, .noSetUserID, .noDevices, .noExecution])
        try Namespaces.makeRoot(stage)
        // For relative names. There is nothing to go to without any.
        try? MountTable.changeDirectory(here)
    }

    private func makeFolders(_ path: [UInt8], below stage: [UInt8]) throws(LinuxError) {
        var made = stage
        for part in path.split(separator: 0x2f) {
            made += [0x2f] + part
            do throws(LinuxError) { try FileTree.makeDirectory(made, mode: 0o755) } catch {
                if error != .exists { throw error }
            }
        }
    }

    private func bind(_ source: [UInt8], at target: [UInt8]) throws(LinuxError) {
        do throws(LinuxError) {
            try MountTable.mount(source, at: target, type: [], .bind)
        } catch {
            // What is mounted below may not be uncovered by a user namespace.
            if error != .invalidArgument { throw error }
            try MountTable.mount(source, at: target, type: [], [.bind, .recursive])
        }
    }
}
