import Archives
public import HostFiles

extension FileTree {
    /// The tree of what lies in a folder of the host, owners, times, attributes, devices and holes included.
    ///
    /// Only names and attributes are read now, content when the disk is written. Other file systems mounted inside (`/proc`
    /// of a running root, say) become empty folders. `progress` is called with the count of entries after each.
    public init(
        scanning folder: HostPath, limits: TreeLimits = TreeLimits(), progress: (Int) -> Void = { _ in }
    ) throws(FileTreeError) {
        self.init()
        var scan = FolderScan(limits: limits)
        do throws(HostFileError) {
            let status = try folder.status()
            nodes[root].attributes = try scan.attributes(of: folder, status)
            scan.fileSystemID = status.fileSystemID
            scan.waiting = [(folder, root, 0)]
        } catch {
            throw .host(error)
        }
        while let (path, node, depth) = scan.waiting.popLast() {
            guard depth < Self.maximumDepth else { throw .overBound("\(path) lies too deep") }
            try scan.readFolder(path, node, depth, into: &self, progress: progress)
        }
    }
}

/// The state of one scan: what is still to be read, and which files have been seen under another name.
private struct FolderScan {
    struct Identity: Hashable {
        let inodeNumber: UInt64
        let fileSystemID: UInt64
    }

    let limits: TreeLimits
    var fileSystemID: UInt64 = 0
    var waiting: [(HostPath, FileTree.NodeID, depth: Int)] = []
    private var seen: [Identity: FileTree.NodeID] = [:]
    private var entryCount = 0

    init(limits: TreeLimits) { self.limits = limits }

    mutating func readFolder(
        _ path: HostPath, _ folder: FileTree.NodeID, _ depth: Int, into tree: inout FileTree, progress: (Int) -> Void
    ) throws(FileTreeError) {
        let names: [[UInt8]]
        do { names = try path.folderNames() } catch { throw .host(error) }
        for bytes in names {
            guard let name = FileName(bytes) else { continue }
            entryCount += 1
            guard entryCount <= limits.maximumEntries else {
                throw .overBound("there are more than \(limits.maximumEntries) files, folders and links")
            }
            let inside = path.appending(bytes)
            let node: FileTree.NodeID?
            do throws(HostFileError) {
                node = try read(inside, depth, into: &tree)
            } catch {
                throw .host(error)
            }
            if let node { tree.setEntry(name, in: folder, to: FolderEntry(node: node, layer: 1)) }
            progress(entryCount)
        }
    }

    private mutating func read(
        _ path: HostPath, _ depth: Int, into tree: inout FileTree
    ) throws(HostFileError) -> FileTree.NodeID? {
        let status = try path.status(followsLinks: false)
        let identity = Identity(inodeNumber: status.inodeNumber, fileSystemID: status.fileSystemID)
        if !status.isFolder && status.linkCount > 1, let known = seen[identity] { return known }
        guard let kind = try kind(of: path, status) else { return nil }
        let node = tree.add(FileNode(attributes: try attributes(of: path, status), kind: kind))
        if status.isFolder {
            if status.fileSystemID == fileSystemID { waiting.append((path, node, depth + 1)) }
        } else if status.linkCount > 1 {
            seen[identity] = node
        }
        return node
    }

    func attributes(of path: HostPath, _ status: FileStatus) throws(HostFileError) -> FileAttributes {
        FileAttributes(
            mode: status.mode, userID: status.userID, groupID: status.groupID,
            modifiedSeconds: status.modifiedSeconds, modifiedNanoseconds: status.modifiedNanoseconds,
            extendedAttributes: try path.extendedAttributes().map {
                TarEntry.ExtendedAttribute(name: $0.name, value: $0.value)
            })
    }

    /// Nil for a socket: a tar has none, and nobody will ever listen on a copy of it.
    private func kind(of path: HostPath, _ status: FileStatus) throws(HostFileError) -> FileNode.Kind? {
        switch status.kind {
        case 0o040000: return .folder([:])
        case 0o120000: return .symbolicLink(try path.linkTarget())
        case 0o020000: return .characterDevice(major: status.deviceMajor, minor: status.deviceMinor)
        case 0o060000: return .blockDevice(major: status.deviceMajor, minor: status.deviceMinor)
        case 0o010000: return .fifo
        case 0o140000: return nil
        default: return .file(try content(of: path, status))
        }
    }

    private func content(of path: HostPath, _ status: FileStatus) throws(HostFileError) -> FileContent {
        var pieces: [FileContent.Piece] = []
        if status.sizeBytes > 0 {
            pieces = [FileContent.Piece(offset: 0, length: status.sizeBytes, sourceOffset: 0)]
            // Small files, and those without holes, are not worth the opening.
            if status.allocatedBytes < status.sizeBytes && status.sizeBytes >= 1 << 16 {
                pieces = try dataPieces(of: path, status.sizeBytes)
            }
        }
        return FileContent(
            sizeBytes: status.sizeBytes, pieces: pieces, source: pieces.isEmpty ? nil : ContentSource(path, status))
    }

    private func dataPieces(of path: HostPath, _ sizeBytes: UInt64) throws(HostFileError) -> [FileContent.Piece] {
        let file = try HostFile(path, [.readOnly, .noFollow, .nonBlocking])
        var pieces: [FileContent.Piece] = []
        var offset: UInt64 = 0
        while offset < sizeBytes, let data = try file.nextData(from: offset), data.lowerBound < sizeBytes {
            let end = min(data.upperBound, sizeBytes)
            pieces.append(
                FileContent.Piece(offset: data.lowerBound, length: end - data.lowerBound, sourceOffset: data.lowerBound)
            )
            offset = max(end, offset + 1)
        }
        return pieces.filter { $0.length > 0 }
    }
}
