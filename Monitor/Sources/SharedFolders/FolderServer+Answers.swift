import LinuxCalls

/// What several answers are made of.
extension FolderServer {
    static let attributeBytes = 88
    static let entryAnswerBytes = 40 + attributeBytes

    /// `struct fuse_attr`.
    func putAttributes(_ status: NodeStatus, at offset: Int) {
        reply.store(nodes.guestInode(status), at: offset)
        reply.store(status.sizeBytes, at: offset + 8)
        reply.store(status.blocks, at: offset + 16)
        reply.store(status.accessed.seconds, at: offset + 24)
        reply.store(status.modified.seconds, at: offset + 32)
        reply.store(status.changed.seconds, at: offset + 40)
        reply.store(status.accessed.nanoseconds, at: offset + 48)
        reply.store(status.modified.nanoseconds, at: offset + 52)
        reply.store(status.changed.nanoseconds, at: offset + 56)
        reply.store(status.mode, at: offset + 60)
        reply.store(status.linkCount, at: offset + 64)
        reply.store(settings.owner?.inGuest(user: status.userID) ?? status.userID, at: offset + 68)
        reply.store(settings.owner?.inGuest(group: status.groupID) ?? status.groupID, at: offset + 72)
        // As the kernel packs it: twelve bits of the major number between those of the minor.
        let major = UInt32(truncatingIfNeeded: status.ownDevice >> 32)
        let minor = UInt32(truncatingIfNeeded: status.ownDevice)
        reply.store(minor & 0xff | (major & 0xfff) << 8 | (minor & ~0xff) << 12, at: offset + 76)
        reply.store(status.blockBytes, at: offset + 80)
        reply.store(UInt32(0), at: offset + 84)
    }

    /// `struct fuse_entry_out`. Zero for the node says that there is nothing, and that this may be believed.
    func putEntry(_ node: UInt32, _ status: NodeStatus?, at offset: Int) {
        reply.fill(offset, count: Self.entryAnswerBytes)
        reply.store(UInt64(node), at: offset)
        reply.store(settings.validSeconds, at: offset + 16)
        reply.store(settings.validSeconds, at: offset + 24)
        if let status { putAttributes(status, at: offset + 40) }
    }

    /// `struct fuse_attr_out`.
    func answerAttributes(_ status: NodeStatus) -> Int {
        let offset = Self.replyHeaderBytes
        reply.store(settings.validSeconds, at: offset)
        reply.store(UInt64(0), at: offset + 8)
        putAttributes(status, at: offset + 16)
        return 16 + Self.attributeBytes
    }

    /// Tells the guest of the file that is at a name now.
    mutating func answerEntry(
        _ parent: UInt32, _ folder: Int32, _ name: RequestName
    ) throws(LinuxError) -> Int {
        let status = try inspect(folder, request.name(at: name.offset))
        let node = try nodes.remember(
            status, parent: parent, name: request, at: name.offset, length: name.length)
        putEntry(node, status, at: Self.replyHeaderBytes)
        return Self.entryAnswerBytes
    }

    /// `struct fuse_init_out`: what this server can do, of what the guest can.
    mutating func initialize(_ header: FUSERequest) throws(LinuxError) -> Int {
        guard header.hasBody(16) else { throw .invalidArgument }
        let major = request.load(UInt32.self, at: header.body)
        let minor = request.load(UInt32.self, at: header.body + 4)
        guard major == 7, minor >= 31 else { throw .wrongProtocol }
        reset()
        isInitialized = true
        let flags = request.load(UInt32.self, at: header.body + 12) & FUSEFeatures.served
        let offset = Self.replyHeaderBytes
        reply.fill(offset, count: 64)
        reply.store(UInt32(7), at: offset)
        reply.store(min(minor, 33), at: offset + 4)
        reply.store(request.load(UInt32.self, at: header.body + 8), at: offset + 8)
        reply.store(flags, at: offset + 12)
        // Requests that may wait, and from where on the guest holds back.
        reply.store(UInt16(64), at: offset + 16)
        reply.store(UInt16(48), at: offset + 18)
        reply.store(Self.transferBytes, at: offset + 20)
        // Times are kept to the nanosecond.
        reply.store(UInt32(1), at: offset + 24)
        reply.store(UInt16(Self.transferBytes / 4096), at: offset + 28)
        return 64
    }

    func statFileSystem() throws(LinuxError) -> Int {
        let status = try FolderCalls.fileSystemStatus(root.number)
        let offset = Self.replyHeaderBytes
        reply.fill(offset, count: 80)
        reply.store(status.blocks, at: offset)
        reply.store(status.freeBlocks, at: offset + 8)
        reply.store(status.availableBlocks, at: offset + 16)
        reply.store(status.files, at: offset + 24)
        reply.store(status.freeFiles, at: offset + 32)
        reply.store(UInt32(truncatingIfNeeded: status.blockBytes), at: offset + 40)
        reply.store(UInt32(truncatingIfNeeded: status.longestName), at: offset + 44)
        reply.store(UInt32(truncatingIfNeeded: status.fragmentBytes), at: offset + 48)
        return 80
    }
}

/// The bits of `FUSE_INIT`. Source: Linux, include/uapi/linux/fuse.h.
enum FUSEFeatures {
    private static let asynchronousReads: UInt32 = 1 << 0
    private static let truncatesWhenOpening: UInt32 = 1 << 3
    private static let largeWrites: UInt32 = 1 << 5
    private static let invalidatesChangedFiles: UInt32 = 1 << 12
    private static let listsWithAttributes: UInt32 = 1 << 13
    private static let listsWithAttributesWhenUseful: UInt32 = 1 << 14
    private static let asynchronousDirectIO: UInt32 = 1 << 15
    private static let parallelLookups: UInt32 = 1 << 18
    private static let maximumPages: UInt32 = 1 << 22
    /// Set-user-ID bits are taken away on this side, so that the guest need not ask for them at each write.
    private static let takesPrivilegesAway: UInt32 = 1 << 28

    static let served =
        asynchronousReads | truncatesWhenOpening | largeWrites | invalidatesChangedFiles | listsWithAttributes
        | listsWithAttributesWhenUseful | asynchronousDirectIO | parallelLookups | maximumPages | takesPrivilegesAway
}
