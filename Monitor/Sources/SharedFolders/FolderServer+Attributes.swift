import LinuxCalls

/// Requests on what a file is, apart from its content.
extension FolderServer {
    mutating func attributes(_ header: FUSERequest, _ node: UInt32) throws(LinuxError) -> Int {
        guard header.hasBody(16) else { throw .invalidArgument }
        // FUSE_GETATTR_FH.
        if request.load(UInt32.self, at: header.body) & 1 != 0 {
            let index = try handle(request.load(at: header.body + 8))
            return answerAttributes(try FolderCalls.status(open[index].number))
        }
        return answerAttributes(try status(node))
    }

    /// The bits of `fuse_setattr_in.valid`.
    private enum Wanted {
        static let mode: UInt32 = 1 << 0
        static let user: UInt32 = 1 << 1
        static let group: UInt32 = 1 << 2
        static let size: UInt32 = 1 << 3
        static let accessed: UInt32 = 1 << 4
        static let modified: UInt32 = 1 << 5
        static let handle: UInt32 = 1 << 6
        static let accessedNow: UInt32 = 1 << 7
        static let modifiedNow: UInt32 = 1 << 8
        static let takingPrivilegesAway: UInt32 = 1 << 11
    }

    mutating func setAttributes(_ header: FUSERequest, _ node: UInt32) throws(LinuxError) -> Int {
        guard header.hasBody(88) else { throw .invalidArgument }
        if request.load(UInt32.self, at: header.body) & Wanted.handle != 0 {
            let index = try handle(request.load(at: header.body + 8))
            try apply(header, to: open[index].number)
            return answerAttributes(try FolderCalls.status(open[index].number))
        }
        if try setLinkTimes(header, node) { return answerAttributes(try status(node)) }
        let file = try descriptor(node)
        try apply(header, to: file.number)
        return answerAttributes(try FolderCalls.status(file.number))
    }

    /// A link's own times are set by its name: its descriptor's name in /proc would lead to what it points to.
    private mutating func setLinkTimes(_ header: FUSERequest, _ node: UInt32) throws(LinuxError) -> Bool {
        let valid = request.load(UInt32.self, at: header.body)
        guard valid & (Wanted.accessed | Wanted.modified) != 0, nodes[node].name != 0,
            try status(node).mode & 0o170000 == 0o120000
        else { return false }
        guard valid & (Wanted.mode | Wanted.size) == 0 else { throw .notSupported }
        let folder = try folder(nodes[node].parent)
        try FolderCalls.setTimes(
            folder, nodes.names.name(Int(nodes[node].name)), accessed: accessed(header), modified: modified(header))
        return true
    }

    private func accessed(_ header: FUSERequest) -> FileTime {
        time(header, Wanted.accessed, Wanted.accessedNow, seconds: 32, nanoseconds: 56)
    }

    private func modified(_ header: FUSERequest) -> FileTime {
        time(header, Wanted.modified, Wanted.modifiedNow, seconds: 40, nanoseconds: 60)
    }

    private func time(
        _ header: FUSERequest, _ given: UInt32, _ now: UInt32, seconds: Int, nanoseconds: Int
    ) -> FileTime {
        let valid = request.load(UInt32.self, at: header.body)
        if valid & given == 0 { return .unchanged }
        if valid & now != 0 { return .now }
        return FileTime(
            seconds: request.load(at: header.body + seconds),
            // More than a second is the guest's nonsense, and must not become a special value.
            nanoseconds: min(request.load(at: header.body + nanoseconds), 999_999_999))
    }

    /// Changes what is asked for of one file.
    private func apply(_ header: FUSERequest, to descriptor: Int32) throws(LinuxError) {
        let valid = request.load(UInt32.self, at: header.body)
        let status = try FolderCalls.status(descriptor)
        if valid & Wanted.takingPrivilegesAway != 0 { try takePrivilegesAway(descriptor, status) }
        if valid & Wanted.size != 0 { try setSize(header, descriptor, status) }
        if valid & (Wanted.user | Wanted.group) != 0 { try setOwner(header, descriptor, status) }
        if valid & Wanted.mode != 0 { try setMode(header, descriptor, status) }
        if valid & (Wanted.accessed | Wanted.modified) != 0 {
            // A link that has just taken the place, and the number, of a file.
            if status.mode & 0o170000 == 0o120000 { throw .stale }
            try FolderCalls.setTimes(descriptor, accessed: accessed(header), modified: modified(header))
        }
    }

    private func setSize(
        _ header: FUSERequest, _ descriptor: Int32, _ status: NodeStatus
    ) throws(LinuxError) {
        guard status.isRegular else { throw status.isDirectory ? .isADirectory : .invalidArgument }
        guard let size = Int64(exactly: request.load(UInt64.self, at: header.body + 16)) else {
            throw .invalidArgument
        }
        let file = try FolderCalls.reopen(descriptor, [.writeOnly, .nonBlocking])
        try takePrivilegesAway(file.number, status)
        try changeLength(file.number, lengthBytes: UInt64(size))
    }

    /// A program that runs with its owner's rights would be one on the host, too: nothing that a guest can write to is
    /// made one, and one that is loses that, for its owner or content may have just become another. Of a folder, the bit
    /// that hands its group on is harmless.
    private func setMode(
        _ header: FUSERequest, _ descriptor: Int32, _ status: NodeStatus
    ) throws(LinuxError) {
        let mode = request.load(UInt32.self, at: header.body + 68) & 0o7777
        if status.mode & 0o170000 == 0o120000 { throw .notSupported }
        let special = status.isDirectory ? mode & 0o4000 : mode & 0o6000
        guard special & ~status.mode == 0 else { throw .notPermitted }
        try FolderCalls.setMode(descriptor, status.isDirectory ? mode : mode & 0o1777)
    }

    private func setOwner(
        _ header: FUSERequest, _ descriptor: Int32, _ status: NodeStatus
    ) throws(LinuxError) {
        let valid = request.load(UInt32.self, at: header.body)
        var user = valid & Wanted.user != 0 ? request.load(UInt32.self, at: header.body + 76) : UInt32.max
        var group = valid & Wanted.group != 0 ? request.load(UInt32.self, at: header.body + 80) : UInt32.max
        if let owner = settings.owner {
            // What is said to be nobody's stays whoever's it is.
            if user != .max {
                guard let known = user == owner.inGuest(user: status.userID) ? status.userID : owner.onHost(user: user)
                else { throw .notPermitted }
                user = known == status.userID ? .max : known
            }
            if group != .max {
                guard
                    let known = group == owner.inGuest(group: status.groupID)
                        ? status.groupID : owner.onHost(group: group)
                else { throw .notPermitted }
                group = known == status.groupID ? .max : known
            }
        }
        if user == .max, group == .max { return }
        try FolderCalls.setOwner(descriptor, user: user, group: group)
    }

    // MARK: Extended attributes: those that users may give

    /// Whether a name in the request is in the name space of users.
    private func isUsers(_ name: RequestName) -> Bool {
        name.length > 5 && request.holds("user.", at: name.offset, before: name.offset + name.length)
    }

    /// An attribute's name: like a file's, but a slash is nothing special.
    private func attributeName(_ header: FUSERequest, at offset: Int) throws(LinuxError) -> RequestName {
        guard offset < header.lengthBytes, let end = request.firstZero(from: offset, before: header.lengthBytes),
            end > offset
        else { throw .invalidArgument }
        guard end - offset <= 255 else { throw .outOfRange }
        return RequestName(offset: offset, length: end - offset)
    }

    private static let attributeValueBytes = 64 << 10

    mutating func setExtendedAttribute(_ header: FUSERequest, _ node: UInt32) throws(LinuxError) -> Int {
        guard header.hasBody(8) else { throw .invalidArgument }
        let size = request.load(UInt32.self, at: header.body)
        let flags = request.load(UInt32.self, at: header.body + 4)
        let name = try attributeName(header, at: header.body + 8)
        guard isUsers(name) else { throw .notSupported }
        guard size <= Self.attributeValueBytes else { throw .tooLarge }
        guard flags <= 2, name.end + Int(size) <= header.lengthBytes else { throw .invalidArgument }
        let file = try descriptor(node)
        try Self.checkHasAttributes(file.number)
        try FolderCalls.setAttribute(
            file.number, request.name(at: name.offset), from: request, at: name.end,
            count: Int(size), flags: flags)
        return 0
    }

    /// Links, pipes and devices have none of the users' attributes, and a link's would be those of what it points to.
    private static func checkHasAttributes(_ descriptor: Int32) throws(LinuxError) {
        let status = try FolderCalls.status(descriptor)
        guard status.isRegular || status.isDirectory else { throw .notSupported }
    }

    mutating func extendedAttribute(_ header: FUSERequest, _ node: UInt32) throws(LinuxError) -> Int {
        guard header.hasBody(8) else { throw .invalidArgument }
        let size = Int(min(request.load(UInt32.self, at: header.body), UInt32(Self.attributeValueBytes)))
        let name = try attributeName(header, at: header.body + 8)
        guard isUsers(name) else { throw .noSuchAttribute }
        let file = try descriptor(node)
        try Self.checkHasAttributes(file.number)
        let count = try FolderCalls.attribute(
            file.number, request.name(at: name.offset), into: reply, at: Self.replyHeaderBytes,
            atMost: size)
        return size == 0 ? answerSize(count) : count
    }

    /// `struct fuse_getxattr_out`.
    private func answerSize(_ count: Int) -> Int {
        reply.store(UInt32(truncatingIfNeeded: count), at: Self.replyHeaderBytes)
        reply.store(UInt32(0), at: Self.replyHeaderBytes + 4)
        return 8
    }

    mutating func listExtendedAttributes(_ header: FUSERequest, _ node: UInt32) throws(LinuxError) -> Int {
        guard header.hasBody(8) else { throw .invalidArgument }
        let size = Int(min(request.load(UInt32.self, at: header.body), UInt32(Self.attributeValueBytes)))
        let file = try descriptor(node)
        do throws(LinuxError) { try Self.checkHasAttributes(file.number) } catch {
            return size == 0 ? answerSize(0) : 0
        }
        let start = Self.replyHeaderBytes
        let count = try FolderCalls.attributeNames(
            file.number, into: reply, at: start, atMost: Self.attributeValueBytes)
        let kept = keepUsersNames(start, start + count)
        if size == 0 { return answerSize(kept) }
        guard kept <= size else { throw .outOfRange }
        return kept
    }

    /// Closes the gaps that the names of other name spaces leave; returns how many bytes stay.
    private func keepUsersNames(_ start: Int, _ end: Int) -> Int {
        var target = start
        var place = start
        while place < end, let zero = reply.firstZero(from: place, before: end) {
            let length = zero + 1 - place
            if reply.holds("user.", at: place, before: zero) {
                reply.copy(reply, from: place, count: length, to: target)
                target += length
            }
            place = zero + 1
        }
        return target - start
    }

    mutating func removeExtendedAttribute(_ header: FUSERequest, _ node: UInt32) throws(LinuxError) -> Int {
        let name = try attributeName(header, at: header.body)
        guard isUsers(name) else { throw .noSuchAttribute }
        let file = try descriptor(node)
        try Self.checkHasAttributes(file.number)
        try FolderCalls.removeAttribute(file.number, request.name(at: name.offset))
        return 0
    }
}
