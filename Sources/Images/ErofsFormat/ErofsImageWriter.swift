public import Archives
public import FileTrees
public import HostFiles

/// What was written.
public struct ErofsSummary: Equatable, Sendable {
    /// SHA-256 of the whole disk.
    public let digest: SHA256Digest
    public let sizeBytes: UInt64
    public let inodeCount: Int
}

/// Writes a tree as a read-only EROFS disk, straight from where its content lies.
///
/// The same tree gives the same disk to the byte: order, placement and times come from the tree alone, and the file system's
/// identifier is a digest of the content. Memory grows with the number of files, not with their length. From front to back:
/// superblock; data of the files; data of the folders; inodes, each with its attributes and the last bytes of its data.
/// (Compression has its place in `writeFileData`: everything after it uses only the layout that it leaves in the inode.)
public struct ErofsImageWriter {
    private let tree: FileTree
    private var inodes: ErofsInodeTable
    private let output: ErofsOutput

    /// Writes to an empty file that was opened for reading and writing. It is not synchronised.
    ///
    /// `progress` is called with the bytes written so far about once a MiB.
    /// - Throws: the file then holds part of a disk.
    public static func write(
        _ tree: FileTree, to file: borrowing HostFile, maximumBytes: UInt64 = 1 << 43,
        progress: @escaping (UInt64) -> Void = { _ in }
    ) throws(ErofsError) -> ErofsSummary {
        let output: ErofsOutput
        do throws(HostFileError) {
            output = ErofsOutput(try file.duplicate(), maximumBytes: min(maximumBytes, 1 << 43), progress: progress)
        } catch {
            throw .host(error)
        }
        var writer = ErofsImageWriter(tree: tree, inodes: try ErofsInodeTable(tree), output: output)
        return try writer.write()
    }

    private mutating func write() throws(ErofsError) -> ErofsSummary {
        try writeFileData()
        let metadataBlock = placeFolders() + output.block
        let metadataBytes = placeInodes()
        try writeFolderBlocks()
        try writeMetadata(at: metadataBlock, metadataBytes)
        let blocks = metadataBlock + metadataBytes / UInt64(ErofsLayout.blockBytes)
        guard let blockCount = UInt32(exactly: blocks), let firstMetadataBlock = UInt32(exactly: metadataBlock),
            let rootSlot = UInt16(exactly: inodes[0].slot)
        else { throw .tooLarge("the disk would have \(blocks) blocks, more than the format can count") }
        var superblock = ErofsSuperblock(
            rootSlot: rootSlot, inodeCount: UInt64(inodes.count), buildSeconds: inodes.commonTime.seconds,
            buildNanoseconds: inodes.commonTime.nanoseconds, blockCount: blockCount, metadataBlock: firstMetadataBlock,
            identifier: [], hasChunkedFiles: inodes.inodes.contains { $0.dataLayout == .chunkBased })
        let (digest, sizeBytes) = try output.finish { content in
            superblock.identifier = Self.identifier(content)
            return superblock.firstBlock()
        }
        return ErofsSummary(digest: digest, sizeBytes: sizeBytes, inodeCount: inodes.count)
    }

    /// A UUID of version 8 (contents of one's own choosing). Source: RFC 9562 §5.8.
    private static func identifier(_ content: SHA256Digest) -> [UInt8] {
        var bytes = Array(content.bytes.prefix(16))
        bytes[6] = bytes[6] & 0x0f | 0x80
        bytes[8] = bytes[8] & 0x3f | 0x80
        return bytes
    }

    // MARK: - Data

    /// Writes what of the files' data fills blocks, and decides where the rest goes.
    private mutating func writeFileData() throws(ErofsError) {
        for index in 0..<inodes.count {
            switch tree[inodes[index].node].kind {
            case .file(let content):
                if let chunks = ErofsChunks(content) {
                    try writeChunks(chunks, content, index)
                } else {
                    let wholeBytes = placeFlat(index, startingAt: output.block)
                    if wholeBytes > 0 { try output.write(content, 0..<wholeBytes) }
                    try output.padToBlock()
                }
            case .symbolicLink(let target):
                if placeFlat(index, startingAt: output.block) > 0 {
                    try output.write(target)
                    try output.padToBlock()
                }
            default: break
            }
        }
    }

    /// Lays out flat data from a block on; returns how many bytes of it go there, the rest being inline.
    private mutating func placeFlat(_ index: Int, startingAt block: UInt64) -> UInt64 {
        let sizeBytes = inodes[index].sizeBytes
        let tail = Int(sizeBytes % UInt64(ErofsLayout.blockBytes))
        let isInline = tail > 0 && inodes[index].hasRoomInline(tail)
        inodes[index].dataLayout = isInline ? .flatInline : .flatPlain
        inodes[index].inlineBytes = isInline ? tail : 0
        let wholeBytes = sizeBytes - UInt64(inodes[index].inlineBytes)
        // A block beyond 32 bits is refused when the disk's length is known to be too large.
        inodes[index].dataField = wholeBytes > 0 ? UInt32(truncatingIfNeeded: block) : 0
        return wholeBytes
    }

    private mutating func writeChunks(_ chunks: ErofsChunks, _ content: FileContent, _ index: Int) throws(ErofsError) {
        var blocks = [UInt32](repeating: ErofsLayout.hole, count: Int(chunks.chunkCount))
        for chunk in chunks.stored {
            blocks[Int(chunk)] = UInt32(truncatingIfNeeded: output.block)
            try output.write(content, chunks.range(chunk, in: content))
            try output.padToBlock()
        }
        inodes[index].dataLayout = .chunkBased
        inodes[index].dataField = UInt32(chunks.chunkBits - Int(ErofsLayout.blockBits))
        inodes[index].chunkBlocks = blocks
    }

    // MARK: - Folders

    /// Gives each folder its length and blocks after the files' data; returns how many blocks they take together.
    private mutating func placeFolders() -> UInt64 {
        let first = output.block
        var next = first
        for index in 0..<inodes.count where inodes[index].fileType == .folder {
            inodes[index].sizeBytes = folder(index).sizeBytes
            next += ErofsLayout.blocks(for: placeFlat(index, startingAt: next))
        }
        return next - first
    }

    private func folder(_ index: Int) -> ErofsFolder {
        var children: [ErofsFolder.Entry] = []
        for (name, node) in tree.sortedEntries(inodes[index].node) {
            guard let child = inodes.index(of: node) else { continue }
            children.append(ErofsFolder.Entry(name: name.bytes, inodeIndex: child))
        }
        return ErofsFolder(children, itself: index, parent: inodes[index].parent)
    }

    private func encodedFolder(_ index: Int) -> [UInt8] {
        folder(index).encoded { (inodes[$0].slot, inodes[$0].fileType) }
    }

    private func writeFolderBlocks() throws(ErofsError) {
        for index in 0..<inodes.count where inodes[index].fileType == .folder {
            let wholeBytes = Int(inodes[index].sizeBytes) - inodes[index].inlineBytes
            if wholeBytes == 0 { continue }
            try output.write(encodedFolder(index).span.extracting(first: wholeBytes))
            try output.padToBlock()
        }
    }

    // MARK: - Inodes

    /// Gives each inode its slot; returns the metadata's length.
    private mutating func placeInodes() -> UInt64 {
        var packer = ErofsMetadataPacker()
        for index in 0..<inodes.count { inodes[index].slot = packer.place(inodes[index].recordBytes) }
        return packer.sizeBytes
    }

    private func writeMetadata(at metadataBlock: UInt64, _ metadataBytes: UInt64) throws(ErofsError) {
        let start = metadataBlock * UInt64(ErofsLayout.blockBytes)
        let order = (0..<inodes.count).sorted { inodes[$0].slot < inodes[$1].slot }
        for index in order {
            let inode = inodes[index]
            try output.writeZeros(start + inode.slot * UInt64(ErofsLayout.slotBytes) - output.position)
            try output.write(inode.encodedHeader(tree[inode.node].attributes, number: UInt32(index) &+ 1))
            try writeInline(inode, index)
        }
        try output.writeZeros(start + metadataBytes - output.position)
    }

    private func writeInline(_ inode: ErofsInode, _ index: Int) throws(ErofsError) {
        if !inode.chunkBlocks.isEmpty {
            var table: [UInt8] = []
            table.reserveCapacity(4 * inode.chunkBlocks.count)
            for block in inode.chunkBlocks { table.append(littleEndian: block) }
            return try output.write(table)
        }
        guard inode.inlineBytes > 0 else { return }
        switch tree[inode.node].kind {
        case .file(let content):
            try output.write(content, (inode.sizeBytes - UInt64(inode.inlineBytes))..<inode.sizeBytes)
        case .symbolicLink(let target): try output.write(target.span.extracting(last: inode.inlineBytes))
        case .folder: try output.write(encodedFolder(index).span.extracting(last: inode.inlineBytes))
        default: break
        }
    }
}
