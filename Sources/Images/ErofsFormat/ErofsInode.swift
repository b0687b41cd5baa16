import FileTrees

/// One file as it will lie on the disk: filled in step by step, then encoded.
///
/// Source: Linux fs/erofs/erofs_fs.h, `struct erofs_inode_compact`, `struct erofs_inode_extended`.
struct ErofsInode {
    let node: FileTree.NodeID
    /// For a folder, the one it lies in; the root lies in itself.
    let parent: Int
    let fileType: ErofsFileType
    let encodedAttributes: [UInt8]
    var linkCount: UInt32 = 1
    var isCompact = false
    /// Where it lies, in slots from the beginning of the metadata.
    var slot: UInt64 = 0

    var sizeBytes: UInt64 = 0
    var dataLayout = ErofsDataLayout.flatPlain
    /// The first block of flat data; the number of a device; the format of chunks.
    var dataField: UInt32 = 0
    /// How many bytes of data follow the inode.
    var inlineBytes = 0
    /// Length of the table that says where a file's chunks or clusters lie; it follows the inode.
    var tableBytes = 0

    init(node: FileTree.NodeID, parent: Int, kind: FileNode.Kind, encodedAttributes: [UInt8]) {
        self.node = node
        self.parent = parent
        self.encodedAttributes = encodedAttributes
        switch kind {
        case .folder:
            fileType = .folder
            linkCount = 2
        case .file(let content):
            fileType = .regularFile
            sizeBytes = content.sizeBytes
        case .packedFile(let content):
            fileType = .regularFile
            sizeBytes = content.sizeBytes
        case .symbolicLink(let target):
            fileType = .symbolicLink
            sizeBytes = UInt64(target.count)
        case .characterDevice(let major, let minor):
            fileType = .characterDevice
            dataField = Self.deviceNumber(major, minor)
        case .blockDevice(let major, let minor):
            fileType = .blockDevice
            dataField = Self.deviceNumber(major, minor)
        case .fifo: fileType = .fifo
        }
    }

    /// Source: Linux include/linux/kdev_t.h, `new_encode_dev`.
    static func deviceNumber(_ major: UInt32, _ minor: UInt32) -> UInt32 {
        minor & 0xff | (major & 0xfff) << 8 | (minor & ~0xff) << 12
    }

    /// Bytes of the inode and its attributes, without what follows them.
    var headerBytes: Int {
        (isCompact ? ErofsLayout.compactInodeBytes : ErofsLayout.extendedInodeBytes) + encodedAttributes.count
    }

    /// Bytes of all that lies together from the inode's slot on.
    var recordBytes: Int { headerBytes + inlineBytes + tableBytes }

    /// Whether the bytes after the last whole block may follow the inode: they must lie in one block with it.
    func hasRoomInline(_ bytes: Int) -> Bool { headerBytes + bytes <= ErofsLayout.blockBytes }

    /// The inode and its attributes; `number` is what old programs see as its inode number.
    func encodedHeader(_ attributes: FileAttributes, number: UInt32) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(headerBytes)
        // Bit 0: extended; bits 1 to 3: layout of the data.
        bytes.append(littleEndian: (isCompact ? 0 : 1) | dataLayout.rawValue << 1)
        bytes.append(littleEndian: UInt16(truncatingIfNeeded: ErofsAttributes.count(encodedAttributes.count)))
        bytes.append(littleEndian: attributes.mode | fileTypeBits)
        if isCompact {
            bytes.append(littleEndian: UInt16(truncatingIfNeeded: linkCount))
            bytes.append(littleEndian: UInt32(truncatingIfNeeded: sizeBytes))
            bytes.append(littleEndian: UInt32(0))
            bytes.append(littleEndian: dataField)
            bytes.append(littleEndian: number)
            bytes.append(littleEndian: UInt16(truncatingIfNeeded: attributes.userID))
            bytes.append(littleEndian: UInt16(truncatingIfNeeded: attributes.groupID))
            bytes.append(littleEndian: UInt32(0))
        } else {
            bytes.append(littleEndian: UInt16(0))
            bytes.append(littleEndian: sizeBytes)
            bytes.append(littleEndian: dataField)
            bytes.append(littleEndian: number)
            bytes.append(littleEndian: attributes.userID)
            bytes.append(littleEndian: attributes.groupID)
            bytes.append(littleEndian: UInt64(bitPattern: attributes.modifiedSeconds))
            bytes.append(littleEndian: attributes.modifiedNanoseconds)
            bytes.append(littleEndian: linkCount)
            bytes.appendZeros(16)
        }
        return bytes + encodedAttributes
    }

    /// Source: Linux include/uapi/linux/stat.h, `S_IFMT`.
    private var fileTypeBits: UInt16 {
        switch fileType {
        case .regularFile: 0o100000
        case .folder: 0o040000
        case .characterDevice: 0o020000
        case .blockDevice: 0o060000
        case .fifo: 0o010000
        case .symbolicLink: 0o120000
        }
    }
}
