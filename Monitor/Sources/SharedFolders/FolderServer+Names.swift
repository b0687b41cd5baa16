import LinuxCalls

/// Requests that find, make, move and remove names.
extension FolderServer {
    mutating func lookUp(_ header: FUSERequest, _ parent: UInt32) throws(LinuxError) -> Int {
        let name = try name(header, at: header.body)
        let folder = try folder(parent)
        do throws(LinuxError) {
            return try answerEntry(parent, folder, name)
        } catch {
            guard error == .noEntry else { throw error }
            putEntry(0, nil, at: Self.replyHeaderBytes)
            return Self.entryAnswerBytes
        }
    }

    func readLink(_ folder: Int32, _ node: UInt32) throws(LinuxError) -> Int {
        try FolderCalls.readLink(
            folder, nodes.names.name(Int(nodes[node].name)), into: reply, at: Self.replyHeaderBytes, atMost: 4096)
    }

    mutating func readLink(_ node: UInt32) throws(LinuxError) -> Int {
        guard nodes[node].name != 0 else { throw node == NodeTable.root ? .invalidArgument : .stale }
        return try readLink(folder(nodes[node].parent), node)
    }

    mutating func makeSymbolicLink(_ header: FUSERequest, _ parent: UInt32) throws(LinuxError) -> Int {
        let name = try name(header, at: header.body)
        guard name.end < header.lengthBytes,
            let end = request.firstZero(from: name.end, before: header.lengthBytes), end > name.end
        else { throw .invalidArgument }
        if end - name.end > 4095 { throw .nameTooLong }
        let folder = try folder(parent)
        try FolderCalls.makeSymbolicLink(folder, request.name(at: name.offset), to: request.name(at: name.end))
        try giveAway(header, folder, name)
        return try answerEntry(parent, folder, name)
    }

    mutating func makeNode(_ header: FUSERequest, _ parent: UInt32) throws(LinuxError) -> Int {
        guard header.hasBody(16) else { throw .invalidArgument }
        let mode = request.load(UInt32.self, at: header.body)
        let name = try name(header, at: header.body + 16)
        let folder = try folder(parent)
        let isFile = mode & 0o170000 == 0o100000 || mode & 0o170000 == 0
        if isFile {
            _ = try FolderCalls.open(
                folder, request.name(at: name.offset), [.writeOnly, .create, .exclusive], mode: mode & 0o1777)
        } else {
            try FolderCalls.makeNode(folder, request.name(at: name.offset), mode: mode & ~0o6000)
        }
        try giveAway(header, folder, name)
        return try answerEntry(parent, folder, name)
    }

    mutating func makeDirectory(_ header: FUSERequest, _ parent: UInt32) throws(LinuxError) -> Int {
        guard header.hasBody(8) else { throw .invalidArgument }
        let mode = request.load(UInt32.self, at: header.body)
        let name = try name(header, at: header.body + 8)
        let folder = try folder(parent)
        try FolderCalls.makeDirectory(folder, request.name(at: name.offset), mode: mode)
        try giveAway(header, folder, name)
        return try answerEntry(parent, folder, name)
    }

    /// What was made belongs to the guest's process that asked for it, where numbers are handed through.
    func giveAway(_ header: FUSERequest, _ folder: Int32, _ name: RequestName) throws(LinuxError) {
        guard let (user, group) = try newOwner(header, folder) else { return }
        try FolderCalls.setOwner(folder, request.name(at: name.offset), user: user, group: group)
    }

    /// Nil: as it is. In a folder that hands its group on, only the user is set.
    func newOwner(_ header: FUSERequest, _ folder: Int32) throws(LinuxError) -> (user: UInt32, group: UInt32)? {
        guard settings.owner == nil else { return nil }
        let handsGroupOn = try FolderCalls.status(folder).mode & 0o2000 != 0
        return (header.user, handsGroupOn ? .max : header.group)
    }

    mutating func remove(_ header: FUSERequest, _ parent: UInt32, isDirectory: Bool) throws(LinuxError) -> Int {
        let name = try name(header, at: header.body)
        let folder = try folder(parent)
        let status = try inspect(folder, request.name(at: name.offset))
        try FolderCalls.remove(folder, request.name(at: name.offset), isDirectory: isDirectory)
        loseName(status, parent, name)
        return 0
    }

    /// The file that was at a name is there no more.
    private mutating func loseName(_ status: NodeStatus, _ parent: UInt32, _ name: RequestName) {
        guard let node = nodes.find(status), nodes[node].name != 0, nodes[node].parent == parent,
            Int(nodes[node].nameLength) == name.length,
            nodes.names.isEqual(Int(nodes[node].name), request, at: name.offset, length: name.length)
        else { return }
        folders.remove(node)
        nodes.removeName(node)
    }

    mutating func rename(
        _ header: FUSERequest, _ parent: UInt32, _ operation: FUSEOperation
    ) throws(LinuxError) -> Int {
        let fixedBytes = operation == .rename ? 8 : 16
        guard header.hasBody(fixedBytes) else { throw .invalidArgument }
        let newParent = try nodes.number(request.load(at: header.body))
        let flags = operation == .rename ? 0 : request.load(UInt32.self, at: header.body + 8)
        // RENAME_NOREPLACE and RENAME_EXCHANGE, not RENAME_WHITEOUT, which makes a device.
        guard flags <= 2 else { throw .invalidArgument }
        let name = try name(header, at: header.body + fixedBytes)
        let newName = try self.name(header, at: name.end)
        let newFolder = try self.folder(newParent)
        let folder = try self.folder(parent)
        let moved = try inspect(folder, request.name(at: name.offset))
        let other = try? inspect(newFolder, request.name(at: newName.offset))
        try FolderCalls.rename(
            folder, request.name(at: name.offset), to: newFolder, request.name(at: newName.offset), flags: flags)
        // Two names of one file: nothing has happened. Source: rename(2).
        if let other, other.inode == moved.inode, other.device == moved.device { return 0 }
        if let other, flags != 2 { loseName(other, newParent, newName) }
        if let node = nodes.find(moved) {
            try nodes.setName(
                node, parent: newParent, name: request, at: newName.offset, length: newName.length)
        }
        if flags == 2, let other, let node = nodes.find(other) {
            try nodes.setName(node, parent: parent, name: request, at: name.offset, length: name.length)
        }
        return 0
    }

    mutating func link(_ header: FUSERequest, _ newParent: UInt32) throws(LinuxError) -> Int {
        guard header.hasBody(8) else { throw .invalidArgument }
        let node = try nodes.number(request.load(at: header.body))
        let name = try name(header, at: header.body + 8)
        // Whether it still is the file that the guest means.
        _ = try status(node)
        guard nodes[node].name != 0 else { throw .noEntry }
        let newFolder = try self.folder(newParent)
        let folder = try self.folder(nodes[node].parent)
        try FolderCalls.link(
            folder, nodes.names.name(Int(nodes[node].name)), to: newFolder, request.name(at: name.offset))
        return try answerEntry(newParent, newFolder, name)
    }
}
