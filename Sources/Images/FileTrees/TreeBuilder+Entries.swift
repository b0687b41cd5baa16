import Archives

extension TreeBuilder {
    static let whiteoutPrefix = Array(".wh.".utf8)
    private static let opaqueName = Array(".wh..wh..opq".utf8)
    /// Bookkeeping of an old union file system, which some layers still carry.
    private static let bookkeepingPrefix = Array(".wh..wh.".utf8)

    /// Takes one entry of a tar into the tree; `content` is asked where it is a file.
    func add(
        _ entry: TarEntry, hasWhiteouts: Bool, content: () throws(FileTreeError) -> FileNode.Kind
    ) throws(FileTreeError) {
        try countEntry()
        var names = try components(of: entry.path)
        guard let name = names.popLast() else {
            guard entry.kind == .folder else { throw .invalidEntry(entry.path, "has no name") }
            tree.nodes[tree.root].attributes = attributes(of: entry)
            return
        }
        // A whiteout says nothing about its folder, and makes none.
        let isWhiteout = hasWhiteouts && name.bytes.starts(with: Self.whiteoutPrefix)
        guard let parent = try folder(names, makesFolders: !isWhiteout, for: entry.path) else { return }
        if isWhiteout { return try hide(name, in: parent, entry.path) }
        switch entry.kind {
        case .hardLink(let target): try addHardLink(name, in: parent, to: target, entry.path)
        case .folder: addFolder(name, in: parent, entry)
        default: try addFile(name, in: parent, entry, content)
        }
    }

    private func attributes(of entry: TarEntry) -> FileAttributes {
        FileAttributes(
            mode: entry.mode, userID: entry.userID, groupID: entry.groupID, modifiedSeconds: entry.modifiedSeconds,
            modifiedNanoseconds: entry.modifiedNanoseconds, extendedAttributes: entry.extendedAttributes)
    }

    private func hide(_ whiteout: FileName, in parent: FileTree.NodeID, _ path: [UInt8]) throws(FileTreeError) {
        if whiteout.bytes == Self.opaqueName { return tree.hideEntries(in: parent, below: layer) }
        if whiteout.bytes.starts(with: Self.bookkeepingPrefix) { return }
        guard let hidden = FileName(whiteout.bytes.dropFirst(Self.whiteoutPrefix.count)) else {
            throw .invalidEntry(path, "is a whiteout of nothing")
        }
        tree.hideEntry(hidden, in: parent, below: layer)
    }

    private func addFolder(_ name: FileName, in parent: FileTree.NodeID, _ entry: TarEntry) {
        if let existing = tree.entry(name, in: parent), tree[existing.node].isFolder {
            tree.nodes[existing.node].attributes = attributes(of: entry)
            tree.setEntry(name, in: parent, to: FolderEntry(node: existing.node, layer: layer))
            return
        }
        put(FileNode(attributes: attributes(of: entry), kind: .folder([:])), name, parent)
    }

    private func addHardLink(
        _ name: FileName, in parent: FileTree.NodeID, to target: [UInt8], _ path: [UInt8]
    ) throws(FileTreeError) {
        var names = try components(of: target)
        guard let targetName = names.popLast(),
            let folder = try folder(names, makesFolders: false, for: path),
            let existing = tree.entry(targetName, in: folder)
        else { throw .invalidEntry(path, "is a hard link to \(shown(target)), which is not there") }
        guard !tree[existing.node].isFolder else {
            throw .invalidEntry(path, "is a hard link to \(shown(target)), which is a folder")
        }
        tree.setEntry(name, in: parent, to: FolderEntry(node: existing.node, layer: layer))
    }

    private func addFile(
        _ name: FileName, in parent: FileTree.NodeID, _ entry: TarEntry,
        _ content: () throws(FileTreeError) -> FileNode.Kind
    ) throws(FileTreeError) {
        let kind: FileNode.Kind
        switch entry.kind {
        case .symbolicLink(let target):
            guard (1...Self.maximumPathBytes).contains(target.count), !target.contains(0) else {
                throw .invalidEntry(entry.path, "is a link to a path of \(target.count) bytes; Linux takes 1 to 4095")
            }
            kind = .symbolicLink(target)
        case .characterDevice(let major, let minor):
            try checkDevice(major, minor, entry.path)
            kind = .characterDevice(major: major, minor: minor)
        case .blockDevice(let major, let minor):
            try checkDevice(major, minor, entry.path)
            kind = .blockDevice(major: major, minor: minor)
        case .fifo: kind = .fifo
        default: kind = try content()
        }
        put(FileNode(attributes: attributes(of: entry), kind: kind), name, parent)
    }

    /// Source: Linux include/linux/kdev_t.h, `MINORBITS` (12 bits of major, 20 of minor).
    private func checkDevice(_ major: UInt32, _ minor: UInt32, _ path: [UInt8]) throws(FileTreeError) {
        guard major < 1 << 12, minor < 1 << 20 else {
            throw .invalidEntry(path, "is a device with the impossible number \(major):\(minor)")
        }
    }

    private func put(_ node: FileNode, _ name: FileName, _ parent: FileTree.NodeID) {
        tree.setEntry(name, in: parent, to: FolderEntry(node: tree.add(node), layer: layer))
    }

    /// A file whose content stays where `place` says.
    func fileKind(
        of entry: TarEntry, _ tar: TarReader, _ place: ContentPlace
    ) throws(FileTreeError) -> FileNode.Kind {
        switch place {
        case .discarded: return .file(FileContent(sizeBytes: entry.sizeBytes, pieces: [], source: nil))
        case .inPlace(let archive): return .file(content(of: entry, at: entry.contentOffset, in: archive))
        case .spool(let spool):
            let offset = spool.offset
            while true {
                let count = try reading { () throws(ArchiveError) in try tar.readContent(into: &buffer) }
                if count == 0 { break }
                do { try spool.append(buffer, count: count) } catch { throw .host(error) }
            }
            return .file(content(of: entry, at: offset, in: spool.source))
        }
    }

    /// The content of an entry whose stored bytes lie together in `source`.
    private func content(of entry: TarEntry, at offset: UInt64, in source: ContentSource) -> FileContent {
        var offset = offset
        var pieces: [FileContent.Piece] = []
        for extent in entry.extents {
            pieces.append(FileContent.Piece(offset: extent.offset, length: extent.length, sourceOffset: offset))
            offset += extent.length
        }
        return FileContent(sizeBytes: entry.sizeBytes, pieces: pieces, source: pieces.isEmpty ? nil : source)
    }
}
