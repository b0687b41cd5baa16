public import Archives

extension FileTree {
    /// Writes every file into a tar, in the order of their paths, the root first; the same for the same files.
    ///
    /// `progress` is called with the bytes of content written so far.
    public func write(to writer: inout TarWriter, progress: (UInt64) -> Void = { _ in }) throws(FileTreeError) {
        var firstPaths: [NodeID: [UInt8]] = [:]
        var writtenBytes: UInt64 = 0
        var waiting: [(path: [UInt8], node: NodeID)] = [(Array("./".utf8), root)]
        while let (path, node) = waiting.popLast() {
            var entry = TarEntry(nodes[node], at: path)
            var content: FileContent?
            if let first = firstPaths.updateValue(path, forKey: node) {
                firstPaths[node] = first
                entry.kind = .hardLink(target: first)
                entry.extendedAttributes = []
            } else if case .file(let own) = nodes[node].kind {
                content = own
                entry.sizeBytes = own.sizeBytes
                entry.extents = own.pieces.map { TarEntry.Extent(offset: $0.offset, length: $0.length) }
            }
            do { try writer.add(entry, FileContentSource(content?.stored ?? .none)) } catch { throw .archive(error) }
            writtenBytes += content?.sizeBytes ?? 0
            progress(writtenBytes)
            let folder = node == root ? [] : path + [UInt8(ascii: "/")]
            for (name, inside) in sortedEntries(node).reversed() {
                guard !name.bytes.starts(with: TreeBuilder.whiteoutPrefix) else {
                    throw .invalidEntry(
                        folder + name.bytes, "has a name that takes another file away in an image's layer; rename it")
                }
                waiting.append((folder + name.bytes, inside))
            }
        }
    }
}

extension TarEntry {
    fileprivate init(_ node: FileNode, at path: [UInt8]) {
        self.init()
        self.path = path
        mode = node.attributes.mode
        userID = node.attributes.userID
        groupID = node.attributes.groupID
        modifiedSeconds = node.attributes.modifiedSeconds
        modifiedNanoseconds = node.attributes.modifiedNanoseconds
        extendedAttributes = node.attributes.extendedAttributes
        switch node.kind {
        case .folder: kind = .folder
        case .file, .packedFile: kind = .file
        case .symbolicLink(let target): kind = .symbolicLink(target: target)
        case .characterDevice(let major, let minor): kind = .characterDevice(major: major, minor: minor)
        case .blockDevice(let major, let minor): kind = .blockDevice(major: major, minor: minor)
        case .fifo: kind = .fifo
        }
    }
}

extension FileContent {
    fileprivate static var none: FileContent { FileContent(sizeBytes: 0, pieces: [], source: nil) }

    /// The pieces one after the other, without the holes between them.
    fileprivate var stored: FileContent {
        var offset: UInt64 = 0
        let pieces = pieces.map { piece in
            defer { offset += piece.length }
            return Piece(offset: offset, length: piece.length, sourceOffset: piece.sourceOffset)
        }
        return FileContent(sizeBytes: offset, pieces: pieces, source: source)
    }
}
