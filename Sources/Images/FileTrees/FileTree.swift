/// The files of an image as one tree in memory: names and attributes only, no content.
///
/// It is made from a folder, from a tar, or from layers one over the other, and written out by `ErofsFormat`. It has one shape
/// whatever it was made from, so that the same files always give the same disk.
public struct FileTree: Sendable {
    /// Index of a node; the root is 0. Nodes that lost their last name stay, unreachable.
    public typealias NodeID = Int

    public package(set) var nodes: [FileNode]
    public let root: NodeID = 0

    /// The deepest that folders may lie in one another: what the longest path of the kernel can name.
    static let maximumDepth = 2048

    public init() {
        nodes = [FileNode(attributes: FileAttributes(mode: 0o755), kind: .folder([:]))]
    }

    public subscript(_ id: NodeID) -> FileNode { nodes[id] }

    /// A folder's entries in the order of their names; none for anything else.
    public func sortedEntries(_ id: NodeID) -> [(name: FileName, node: NodeID)] {
        guard case .folder(let entries) = nodes[id].kind else { return [] }
        return entries.map { ($0.key, $0.value.node) }.sorted { $0.0 < $1.0 }
    }

    /// The node at an absolute path, following no link; nil when there is none.
    public func lookup(_ path: String) -> NodeID? {
        var id = root
        for part in path.utf8.split(separator: UInt8(ascii: "/")) {
            guard let name = FileName(part), let entry = entry(name, in: id) else { return nil }
            id = entry.node
        }
        return id
    }

    func entry(_ name: FileName, in folder: NodeID) -> FolderEntry? {
        guard case .folder(let entries) = nodes[folder].kind else { return nil }
        return entries[name]
    }

    mutating func add(_ node: FileNode) -> NodeID {
        nodes.append(node)
        return nodes.count - 1
    }

    /// Sets or takes away a name; nothing happens when `folder` is no folder.
    mutating func setEntry(_ name: FileName, in folder: NodeID, to entry: FolderEntry?) {
        guard case .folder(var entries) = nodes[folder].kind else { return }
        // Let go of the node's own reference, so that the dictionary is changed in place.
        nodes[folder].kind = .fifo
        entries[name] = entry
        nodes[folder].kind = .folder(entries)
    }

    /// Takes out everything below `folder` that no layer from `layer` on has written.
    mutating func hideEntries(in folder: NodeID, below layer: Int) {
        for (name, _) in sortedEntries(folder) { hideEntry(name, in: folder, below: layer) }
    }

    /// Takes out a name, and everything below it, as far as no layer from `layer` on has written it.
    mutating func hideEntry(_ name: FileName, in folder: NodeID, below layer: Int) {
        guard let entry = entry(name, in: folder) else { return }
        if nodes[entry.node].isFolder {
            hideEntries(in: entry.node, below: layer)
            guard entry.layer < layer, sortedEntries(entry.node).isEmpty else { return }
        } else if entry.layer >= layer {
            return
        }
        setEntry(name, in: folder, to: nil)
    }
}
