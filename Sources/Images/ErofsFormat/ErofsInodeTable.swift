import Archives
import FileTrees

/// Every file of the disk once, in the order in which they lie there: a folder's children together, the root first.
struct ErofsInodeTable {
    private(set) var inodes: [ErofsInode] = []
    private var indexes: [FileTree.NodeID: Int] = [:]
    /// The time that the most files have. Their inodes need not say it, which makes them half as long.
    private(set) var commonTime = ModificationTime(seconds: 0, nanoseconds: 0)

    struct ModificationTime: Hashable {
        let seconds: Int64
        let nanoseconds: UInt32
    }

    init(_ tree: FileTree) throws(ErofsError) {
        _ = try index(of: tree.root, in: tree, parent: 0)
        var folders = [0]
        while let folder = folders.popLast() {
            var inside: [Int] = []
            for (_, node) in tree.sortedEntries(inodes[folder].node) {
                if let known = indexes[node] {
                    inodes[known].linkCount += 1
                    continue
                }
                let index = try index(of: node, in: tree, parent: folder)
                if tree[node].isFolder {
                    inodes[folder].linkCount += 1
                    inside.append(index)
                }
            }
            folders.append(contentsOf: inside.reversed())
        }
        chooseCompact(tree)
    }

    subscript(_ index: Int) -> ErofsInode {
        get { inodes[index] }
        set { inodes[index] = newValue }
    }

    var count: Int { inodes.count }

    func index(of node: FileTree.NodeID) -> Int? { indexes[node] }

    private mutating func index(
        of node: FileTree.NodeID, in tree: FileTree, parent: Int
    ) throws(ErofsError) -> Int {
        guard let attributes = ErofsAttributes(tree[node].attributes.extendedAttributes) else {
            throw .tooLarge("a file has more extended attributes than a disk can hold (255 KiB)")
        }
        inodes.append(
            ErofsInode(node: node, parent: parent, kind: tree[node].kind, encodedAttributes: attributes.encoded))
        guard UInt32(exactly: inodes.count) != nil else { throw .tooLarge("there are more than 4,294,967,295 files") }
        indexes[node] = inodes.count - 1
        return inodes.count - 1
    }

    private mutating func chooseCompact(_ tree: FileTree) {
        var counts: [ModificationTime: Int] = [:]
        for inode in inodes where fitsCompact(inode, tree[inode.node].attributes) {
            counts[time(tree[inode.node].attributes), default: 0] += 1
        }
        // The earliest of the most frequent, so that the choice does not depend on the order in which they are met.
        let best = counts.max {
            ($0.value, $1.key.seconds, $1.key.nanoseconds) < ($1.value, $0.key.seconds, $0.key.nanoseconds)
        }
        guard let best else { return }
        commonTime = best.key
        for index in inodes.indices {
            let attributes = tree[inodes[index].node].attributes
            inodes[index].isCompact = time(attributes) == commonTime && fitsCompact(inodes[index], attributes)
        }
    }

    private func time(_ attributes: FileAttributes) -> ModificationTime {
        ModificationTime(seconds: attributes.modifiedSeconds, nanoseconds: attributes.modifiedNanoseconds)
    }

    private func fitsCompact(_ inode: ErofsInode, _ attributes: FileAttributes) -> Bool {
        // A folder's length is not known yet; one of 4 GiB is beyond every bound.
        attributes.userID <= UInt16.max && attributes.groupID <= UInt16.max && inode.linkCount <= UInt16.max
            && inode.sizeBytes <= UInt32.max
    }
}
