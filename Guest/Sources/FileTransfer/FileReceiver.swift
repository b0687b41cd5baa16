public import AgentProtocol
internal import LinuxCalls

/// Writes what transfer messages describe below one destination, and nothing anywhere else.
///
/// Trust: the messages are somebody else's. Every name is made in a directory that this receiver opened itself, without
/// following a link; an entry whose directory was not the last one announced is refused. A file or a link
/// that lies in the way of one is replaced, anything else but a directory is not; a directory is kept as it is, its
/// permissions too, and filled.
///
/// A file has a name of its own beside its place until it is whole. One that is not when the copy ends, or when this
/// receiver is let go of, is removed, and what it was to replace is still there.
public final class FileReceiver {
    /// How much has arrived.
    public struct Counts: Equatable, Sendable {
        public var entries: UInt64 = 0
        public var bytes: UInt64 = 0
    }

    private final class Folder {
        let file: FileDescriptor
        let entry: TransferEntry
        let isNew: Bool

        init(_ file: consuming FileDescriptor, _ entry: TransferEntry, isNew: Bool) {
            self.file = file
            self.entry = entry
            self.isNew = isNew
        }
    }

    /// A file that is not whole. Its directory is the last one announced, which stays open for as long as this is there.
    private final class Draft {
        let file: FileDescriptor
        let entry: TransferEntry
        let folder: Int32
        let name: [UInt8]
        let finalName: [UInt8]

        init(_ entry: TransferEntry, for finalName: [UInt8], in folder: Int32) throws(LinuxError) {
            var number = Clock.monotonic.nanoseconds()
            while true {
                let name = (".swiftlet-cp-" + ByteString(number, radix: 16)).bytes
                do throws(LinuxError) {
                    file = try FileTree.open(
                        name, in: folder, [.writeOnly, .create, .exclusive, .noFollow, .noControllingTerminal],
                        mode: 0o600)
                    self.name = name
                    break
                } catch {
                    if error != .exists { throw error }
                    number &+= 1
                }
            }
            self.entry = entry
            self.folder = folder
            self.finalName = finalName
        }
    }

    private let destination: ByteString
    private let base: FileDescriptor
    private let baseName: ByteString
    private let keepsOwner: Bool
    private let permissionMask: UInt16
    private var folders: [Folder] = []
    private var draft: Draft?
    private var lastPath: ByteString = ""
    private var madeEntries: UInt64 = 0
    public private(set) var counts = Counts()

    /// - Parameters:
    ///   - root: an open directory that the destination does not leave, whatever links say.
    ///   - permissionMask: the permission bits that are taken over; those outside are never set.
    public init(_ request: CopyIn, root: Int32, permissionMask: UInt16 = 0o7777) throws(Failure) {
        destination = request.destination
        keepsOwner = request.keepsOwner
        self.permissionMask = request.keepsOwner ? permissionMask : permissionMask & 0o1777
        do throws(LinuxError) {
            if !request.name.isEmpty,
                let folder = try? FileTree.open(request.destination.bytes, asRoot: root, [.readOnly, .directory])
            {
                base = folder
                baseName = request.name
            } else {
                var bytes = request.destination.bytes
                while bytes.count > 1, bytes.last == UInt8(ascii: "/") { bytes.removeLast() }
                guard let slash = bytes.lastIndex(of: UInt8(ascii: "/")) else { throw LinuxError.invalidArgument }
                let name = ByteString(bytes[(slash + 1)...])
                base = try FileTree.open([UInt8](bytes[...slash]), asRoot: root, [.readOnly, .directory])
                baseName = name.isEmpty ? "." : name
                guard name.isEmpty || name.isFileName else { throw LinuxError.invalidArgument }
            }
        } catch {
            throw Failure(
                error == .noEntry ? .noSuchFile : .fileSystem, error, "destination \"" + request.destination + "\"")
        }
    }

    deinit { dropDraft() }

    /// What an error has to add: that something of the copy is there though not all of it is. Empty when nothing is.
    public var leftover: ByteString {
        guard madeEntries > 0 else { return "" }
        return "; what arrived whole before is left there: " + ByteString(madeEntries)
            + (madeEntries == 1 ? " file or folder" : " files and folders")
    }

    /// Takes the next message. Returns what has arrived when it was the last one.
    ///
    /// After an error there is nothing more to take.
    public func take(_ message: TransferMessage) throws(Failure) -> Counts? {
        var path = draft?.entry.path ?? lastPath
        do throws(LinuxError) {
            switch message {
            case .entry(let entry):
                try finishFile()
                path = entry.path
                lastPath = path
                try begin(entry)
                counts.entries += 1
            case .data(let bytes):
                guard let number = draft?.file.number else { throw LinuxError(Self.outOfOrder) }
                try writeAll(number, bytes)
                counts.bytes += UInt64(bytes.count)
            case .end:
                try finishFile()
                while let folder = folders.popLast() { try finish(folder) }
                return counts
            case .failure(let failure): throw LinuxError(Int32(truncatingIfNeeded: max(failure.systemError, 1)))
            default: throw LinuxError.protocolError
            }
            return nil
        } catch {
            dropDraft()
            let quoted = "\"" + (path.isEmpty ? destination : path) + "\""
            switch error.number {
            case Self.outOfOrder:
                throw Failure(.unsafePath, text: quoted + ": its file or directory was not announced")
            case Self.inTheWay:
                throw Failure(.unsafePath, text: quoted + ": a device, pipe or socket is there, which no copy replaces")
            default: throw Failure(.fileSystem, error, quoted)
            }
        }
    }

    /// Stands for an entry outside the directories that were announced; no number of the kernel's.
    private static let outOfOrder: Int32 = 4095
    /// Stands for what is neither a file nor a link; no number of the kernel's.
    private static let inTheWay: Int32 = 4094

    private func begin(_ entry: TransferEntry) throws(LinuxError) {
        guard !entry.path.isEmpty else {
            guard counts.entries == 0 else { throw LinuxError(Self.outOfOrder) }
            // The sender follows what it was asked for; a link in its place would lead the next copy elsewhere.
            if case .symbolicLink = entry.kind { throw LinuxError.tooManyLevels }
            return try make(entry, baseName.bytes, in: base.number)
        }
        var parent: ByteString = ""
        var name = entry.path
        if let slash = entry.path.bytes.lastIndex(of: UInt8(ascii: "/")) {
            parent = ByteString(entry.path.bytes[..<slash])
            name = ByteString(entry.path.bytes[(slash + 1)...])
        }
        while let folder = folders.last, folder.entry.path != parent {
            folders.removeLast()
            try finish(folder)
        }
        guard let folder = folders.last, name.isFileName else { throw LinuxError(Self.outOfOrder) }
        try make(entry, name.bytes, in: folder.file.number)
    }

    private func make(_ entry: TransferEntry, _ name: [UInt8], in folder: Int32) throws(LinuxError) {
        switch entry.kind {
        case .directory:
            guard folders.count < FileSender.maximumDepth else { throw LinuxError.tooManyLevels }
            var isNew = true
            do throws(LinuxError) {
                try FileTree.makeDirectory(name, in: folder, mode: 0o700)
            } catch {
                if error != .exists { throw error }
                isNew = false
            }
            if isNew { madeEntries += 1 }
            folders.append(
                Folder(
                    try FileTree.open(name, in: folder, [.readOnly, .directory, .noFollow]), entry, isNew: isNew))
        case .regular:
            try checkReplaceable(name, in: folder)
            draft = try Draft(entry, for: name, in: folder)
        case .symbolicLink(let target):
            if try checkReplaceable(name, in: folder) { try FileTree.remove(name, in: folder) }
            try FileTree.makeSymbolicLink(name, in: folder, to: target.bytes)
            madeEntries += 1
            if keepsOwner { try FileTree.setOwner(name, in: folder, user: entry.userID, group: entry.groupID) }
            try? FileTree.setModified(name, in: folder, nanoseconds: Int64(bitPattern: entry.modifiedNanoseconds))
        }
    }

    /// Whether something lies there; it may be replaced.
    @discardableResult
    private func checkReplaceable(_ name: [UInt8], in folder: Int32) throws(LinuxError) -> Bool {
        do throws(LinuxError) {
            switch try FileTree.facts(name, in: folder).kind {
            case .other: throw LinuxError(Self.inTheWay)
            case .directory: throw LinuxError.isADirectory
            default: return true
            }
        } catch {
            if error == .noEntry { return false }
            throw error
        }
    }

    private func finishFile() throws(LinuxError) {
        guard let draft else { return }
        try setFacts(draft.file.number, draft.entry)
        try FileTree.rename(draft.name, in: draft.folder, to: draft.finalName)
        self.draft = nil
        madeEntries += 1
    }

    private func dropDraft() {
        guard let draft else { return }
        try? FileTree.remove(draft.name, in: draft.folder)
        self.draft = nil
    }

    /// What was there before keeps its facts: whoever sends does not decide who else may write to it.
    private func finish(_ folder: Folder) throws(LinuxError) {
        if folder.isNew { try setFacts(folder.file.number, folder.entry) }
    }

    /// Owner first: changing it takes the set-user-ID bit away.
    private func setFacts(_ file: Int32, _ entry: TransferEntry) throws(LinuxError) {
        if keepsOwner { try FileTree.setOwner(in: file, user: entry.userID, group: entry.groupID) }
        try FileTree.setPermissions(file, UInt32(entry.permissions & permissionMask))
        try? FileTree.setModified(file, nanoseconds: Int64(bitPattern: entry.modifiedNanoseconds))
    }
}
