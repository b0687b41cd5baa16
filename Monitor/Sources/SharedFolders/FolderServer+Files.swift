import CLinux
import GuestMemory
import LinuxCalls

/// Requests on open files.
extension FolderServer {
    /// Of what a guest opens with, what matters on this side: how it is accessed, and whether it is emptied.
    private func openFlags(_ guestFlags: UInt32) throws(LinuxError) -> (OpenFlags, isWritable: Bool) {
        var flags = OpenFlags(rawValue: Int32(bitPattern: guestFlags & 3))
        // O_NONBLOCK: should another process have put a pipe there meanwhile, nobody waits for its other end.
        flags.insert([.nonBlocking, .noControllingTerminal])
        let isWritable = guestFlags & 3 != 0
        if guestFlags & UInt32(O_TRUNC) != 0 { flags.insert(.truncate) }
        if settings.isReadOnly, isWritable || flags.contains(.truncate) { throw .readOnlyFileSystem }
        return (flags, isWritable)
    }

    mutating func open(_ header: FUSERequest, _ node: UInt32) throws(LinuxError) -> Int {
        guard header.hasBody(8) else { throw .invalidArgument }
        let (flags, isWritable) = try openFlags(request.load(at: header.body))
        guard let slot = open.freeIndex else { throw .tooManyFiles }
        let path = try descriptor(node)
        let file = try reopen(path.number, flags, isWritable: isWritable)
        return try answerOpened(file, node, slot, isWritable: isWritable)
    }

    /// Opens the file that a descriptor stands for, if it is an ordinary one.
    private func reopen(
        _ descriptor: Int32, _ flags: OpenFlags, isWritable: Bool
    ) throws(LinuxError) -> FileDescriptor {
        let status = try FolderCalls.status(descriptor)
        guard status.isRegular else { throw status.isDirectory ? .isADirectory : .notPermitted }
        let file = try reopenUnnoticed(descriptor, flags)
        if isWritable || flags.contains(.truncate) { try takePrivilegesAway(file.number, status) }
        return file
    }

    /// Opens what a descriptor stands for; where nothing is to be written, reading it leaves no trace in the times of access
    /// either, as far as this process may ask for that: of its user's own files, and as root.
    func reopenUnnoticed(_ descriptor: Int32, _ flags: OpenFlags) throws(LinuxError) -> FileDescriptor {
        guard settings.isReadOnly else { return try FolderCalls.reopen(descriptor, flags) }
        do throws(LinuxError) {
            return try FolderCalls.reopen(descriptor, flags.union(.leavingAccessTime))
        } catch {
            guard error == .notPermitted else { throw error }
            return try FolderCalls.reopen(descriptor, flags)
        }
    }

    /// What the guest may write to is no program that runs with its owner's rights.
    func takePrivilegesAway(_ descriptor: Int32, _ status: NodeStatus) throws(LinuxError) {
        guard status.isRegular, status.mode & 0o6000 != 0 else { return }
        try FolderCalls.setMode(descriptor, status.mode & 0o1777)
    }

    /// `struct fuse_open_out`. What the guest has of the content stays good if nobody has changed the file since it was
    /// opened the last time. That is asked of the time that nobody can set: copying programs set the other back.
    private mutating func answerOpened(
        _ file: consuming FileDescriptor, _ node: UInt32, _ slot: Int, isWritable: Bool
    ) throws(LinuxError) -> Int {
        let status = try FolderCalls.status(file.number)
        let (seconds, isTooFar) = status.changed.seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let stamp = isTooFar ? 0 : seconds &+ Int64(status.changed.nanoseconds)
        let isUnchanged = stamp != 0 && nodes[node].openedStamp == stamp
        nodes[node].openedStamp = stamp
        putOpened(slot, keepsCache: isUnchanged, at: Self.replyHeaderBytes)
        open.insert(OpenFile(descriptor: file, node: node, isDirectory: false, isWritable: isWritable), at: slot)
        return 16
    }

    func putOpened(_ slot: Int, keepsCache: Bool, at offset: Int) {
        reply.store(UInt64(slot), at: offset)
        // FOPEN_KEEP_CACHE.
        reply.store(UInt32(keepsCache ? 2 : 0), at: offset + 8)
        reply.store(UInt32(0), at: offset + 12)
    }

    mutating func create(_ header: FUSERequest, _ parent: UInt32) throws(LinuxError) -> Int {
        guard header.hasBody(16) else { throw .invalidArgument }
        let guestFlags = request.load(UInt32.self, at: header.body)
        let mode = request.load(UInt32.self, at: header.body + 4)
        let (flags, isWritable) = try openFlags(guestFlags)
        let name = try name(header, at: header.body + 16)
        guard let slot = open.freeIndex else { throw .tooManyFiles }
        let folder = try folder(parent)
        let owner = try newOwner(header, folder)
        let file: FileDescriptor
        do throws(LinuxError) {
            file = try make(folder, name, flags, mode, owner)
        } catch {
            guard error == .exists, guestFlags & UInt32(O_EXCL) == 0 else { throw error }
            let path = try FolderCalls.open(folder, request.name(at: name.offset), [.path])
            file = try reopen(path.number, flags, isWritable: isWritable)
        }
        let status = try FolderCalls.status(file.number)
        guard status.mountID == rootStatus.mountID else { throw .otherFileSystem }
        let node = try nodes.remember(
            status, parent: parent, name: request, at: name.offset, length: name.length)
        putEntry(node, status, at: Self.replyHeaderBytes)
        nodes[node].openedStamp = 0
        putOpened(slot, keepsCache: false, at: Self.replyHeaderBytes + Self.entryAnswerBytes)
        open.insert(OpenFile(descriptor: file, node: node, isDirectory: false, isWritable: isWritable), at: slot)
        return Self.entryAnswerBytes + 16
    }

    /// Makes a file that was not there.
    private func make(
        _ folder: Int32, _ name: RequestName, _ flags: OpenFlags, _ mode: UInt32,
        _ owner: (user: UInt32, group: UInt32)?
    ) throws(LinuxError) -> FileDescriptor {
        let file = try FolderCalls.open(
            folder, request.name(at: name.offset), flags.union([.create, .exclusive]), mode: mode & 0o1777)
        if let owner { try FolderCalls.setOwner(file.number, user: owner.user, group: owner.group) }
        return file
    }

    mutating func openDirectory(_ node: UInt32) throws(LinuxError) -> Int {
        guard let slot = open.freeIndex else { throw .tooManyFiles }
        let folder = try folder(node)
        let descriptor = try reopenUnnoticed(folder, [.readOnly, .directory])
        open.insert(OpenFile(descriptor: descriptor, node: node, isDirectory: true, isWritable: false), at: slot)
        putOpened(slot, keepsCache: false, at: Self.replyHeaderBytes)
        return 16
    }

    mutating func release(_ header: FUSERequest) throws(LinuxError) -> Int {
        guard header.hasBody(8) else { throw .invalidArgument }
        let index = try handle(request.load(at: header.body))
        if listing.handle == index { listing = ListingState() }
        _ = open.remove(at: index)
        return 0
    }

    func flush(_ header: FUSERequest) throws(LinuxError) -> Int {
        guard header.hasBody(8) else { throw .invalidArgument }
        let index = try handle(request.load(at: header.body))
        if open[index].isWritable { try FolderCalls.checkClosing(open[index].number) }
        return 0
    }

    func synchronize(_ header: FUSERequest) throws(LinuxError) -> Int {
        guard header.hasBody(12) else { throw .invalidArgument }
        let index = try handle(request.load(at: header.body))
        let isDataOnly = request.load(UInt32.self, at: header.body + 8) & 1 != 0
        try FolderCalls.synchronize(open[index].number, dataOnly: isDataOnly)
        return 0
    }

    /// An offset in a file, as the kernel takes it.
    private func offset(at place: Int) throws(LinuxError) -> Int64 {
        guard let offset = Int64(exactly: request.load(UInt64.self, at: place)) else { throw .invalidArgument }
        return offset
    }

    /// The bytes go straight into guest memory, behind the room for the header.
    mutating func read(_ header: FUSERequest, _ writable: inout IOVectorList) throws(LinuxError) -> Int {
        guard isInitialized else { throw .inputOutput }
        guard header.hasBody(20) else { throw .invalidArgument }
        let index = try handle(request.load(at: header.body))
        let offset = try offset(at: header.body + 8)
        let size = min(request.load(UInt32.self, at: header.body + 16), Self.transferBytes)
        guard !open[index].isDirectory else { throw .isADirectory }
        writable.truncate(toBytes: UInt64(Self.replyHeaderBytes) + UInt64(size))
        let count = try writable.read(
            from: open[index].number, offset: UInt64(offset), skipping: UInt64(Self.replyHeaderBytes))
        metrics.readBytes &+= UInt64(count)
        return count
    }

    /// The bytes come straight out of guest memory.
    mutating func write(_ header: FUSERequest, _ readable: inout IOVectorList) throws(LinuxError) -> Int {
        guard isInitialized else { throw .inputOutput }
        guard header.hasBody(36) else { throw .invalidArgument }
        if settings.isReadOnly { throw .readOnlyFileSystem }
        let index = try handle(request.load(at: header.body))
        let offset = try offset(at: header.body + 8)
        let size = request.load(UInt32.self, at: header.body + 16)
        let writeFlags = request.load(UInt32.self, at: header.body + 20)
        let guestFlags = request.load(UInt32.self, at: header.body + 32)
        guard open[index].isWritable else { throw .badDescriptor }
        guard size <= Self.transferBytes, readable.totalBytes >= UInt64(size) else { throw .invalidArgument }
        // Appended where the file ends now, whoever has made it longer; but what the guest writes out of its cache
        // (FUSE_WRITE_CACHE) has its place. RWF_APPEND is 16.
        let isAppending = guestFlags & UInt32(O_APPEND) != 0 && writeFlags & 1 == 0
        let count = try readable.write(
            to: open[index].number, offset: UInt64(offset), atMost: UInt64(size), flags: isAppending ? 16 : 0)
        metrics.writtenBytes &+= UInt64(count)
        reply.store(UInt32(count), at: Self.replyHeaderBytes)
        reply.store(UInt32(0), at: Self.replyHeaderBytes + 4)
        return 8
    }

    func allocate(_ header: FUSERequest) throws(LinuxError) -> Int {
        guard header.hasBody(28) else { throw .invalidArgument }
        let index = try handle(request.load(at: header.body))
        guard open[index].isWritable else { throw .badDescriptor }
        let mode = request.load(UInt32.self, at: header.body + 24)
        try FolderCalls.allocate(
            open[index].number, mode: mode, offset: offset(at: header.body + 8), count: offset(at: header.body + 16))
        return 0
    }

    func seek(_ header: FUSERequest) throws(LinuxError) -> Int {
        guard header.hasBody(20) else { throw .invalidArgument }
        let index = try handle(request.load(at: header.body))
        let whence = request.load(UInt32.self, at: header.body + 16)
        // SEEK_DATA and SEEK_HOLE; the guest knows the others itself.
        guard whence == 3 || whence == 4, !open[index].isDirectory else { throw .invalidArgument }
        let place = try FolderCalls.seek(
            open[index].number, to: offset(at: header.body + 8), whence: Int(whence))
        reply.store(place, at: Self.replyHeaderBytes)
        return 8
    }

    /// Bounded, so that one request does not hold up the others; the guest asks for the rest.
    private static let copyBytes: UInt64 = 16 << 20

    func copyRange(_ header: FUSERequest) throws(LinuxError) -> Int {
        guard header.hasBody(56) else { throw .invalidArgument }
        let source = try handle(request.load(at: header.body))
        let target = try handle(request.load(at: header.body + 24))
        guard open[target].isWritable, !open[source].isDirectory else { throw .badDescriptor }
        guard request.load(UInt64.self, at: header.body + 48) == 0 else { throw .invalidArgument }
        let count = min(request.load(UInt64.self, at: header.body + 40), Self.copyBytes)
        let copied = try FolderCalls.copyRange(
            open[source].number, offset(at: header.body + 8), to: open[target].number, offset(at: header.body + 32),
            count: Int(count))
        reply.store(UInt32(truncatingIfNeeded: copied), at: Self.replyHeaderBytes)
        reply.store(UInt32(0), at: Self.replyHeaderBytes + 4)
        return 8
    }
}
