/// Paths of archive entries, walked inside the tree only: nothing of the host can be reached by them.
extension TreeBuilder {
    /// The longest path that the kernel takes, and the most symbolic links that it follows.
    static let maximumPathBytes = 4095
    static let maximumLinksFollowed = 40

    /// A path's names. Slashes at its ends and `.` mean nothing; `..` is refused, for no honest archive has it.
    func components(of path: [UInt8]) throws(FileTreeError) -> [FileName] {
        guard path.count <= Self.maximumPathBytes else {
            throw .invalidEntry(path, "has a path of \(path.count) bytes; Linux takes \(Self.maximumPathBytes)")
        }
        var names: [FileName] = []
        for part in path.split(separator: UInt8(ascii: "/")) where !part.elementsEqual(".".utf8) {
            guard let name = FileName(part) else {
                if part.elementsEqual("..".utf8) { throw .invalidEntry(path, "leads out of the archive by \"..\"") }
                throw .invalidEntry(path, "has a name of \(part.count) bytes; Linux takes 255, without zero bytes")
            }
            names.append(name)
        }
        return names
    }

    /// The folder that `names` lead to from the root, symbolic links followed inside the tree.
    ///
    /// What is missing is made when `makesFolders`, as archives may name a file before its folder or never name the folder.
    /// - Returns: nil when something is missing and not made.
    func folder(
        _ names: some Collection<FileName>, makesFolders: Bool, for path: [UInt8]
    ) throws(FileTreeError) -> FileTree.NodeID? {
        var trail = [tree.root]
        var rest = Array(names.reversed().map { $0.bytes })
        var linksFollowed = 0
        while let part = rest.popLast() {
            let here = trail[trail.count - 1]
            if part.elementsEqual("..".utf8) {
                if trail.count > 1 { trail.removeLast() }
                continue
            }
            guard let name = FileName(part) else {
                throw .invalidEntry(path, "lies behind a link with an invalid name")
            }
            guard let entry = tree.entry(name, in: here) else {
                guard makesFolders else { return nil }
                guard trail.count < FileTree.maximumDepth else { throw tooDeep(path) }
                trail.append(try addFolder(name, in: here))
                continue
            }
            switch tree[entry.node].kind {
            case .folder:
                guard trail.count < FileTree.maximumDepth else { throw tooDeep(path) }
                trail.append(entry.node)
            case .symbolicLink(let target):
                linksFollowed += 1
                guard linksFollowed <= Self.maximumLinksFollowed else {
                    throw .invalidEntry(path, "lies behind symbolic links that lead in a circle")
                }
                if target.first == UInt8(ascii: "/") { trail = [tree.root] }
                let parts = target.split(separator: UInt8(ascii: "/")).filter { !$0.elementsEqual(".".utf8) }
                rest.append(contentsOf: parts.reversed().map { Array($0) })
                guard rest.count <= FileTree.maximumDepth * 2 else { throw tooDeep(path) }
            default:
                guard makesFolders else { return nil }
                throw .invalidEntry(path, "lies below something that is not a folder")
            }
        }
        return trail[trail.count - 1]
    }

    private func tooDeep(_ path: [UInt8]) -> FileTreeError {
        .invalidEntry(path, "lies more than \(FileTree.maximumDepth) folders deep")
    }

    private func addFolder(_ name: FileName, in folder: FileTree.NodeID) throws(FileTreeError) -> FileTree.NodeID {
        try countEntry()
        let node = tree.add(FileNode(attributes: FileAttributes(mode: 0o755), kind: .folder([:])))
        tree.setEntry(name, in: folder, to: FolderEntry(node: node, layer: layer))
        return node
    }
}
