public import FileTrees
public import HostFiles

/// What was written.
public struct ErofsSummary: Equatable, Sendable {
    /// Of the metadata, which lies before the segments.
    public let metadataBlocks: UInt64
    /// Of the whole disk.
    public let blockCount: UInt64
    public let inodeCount: Int
}

/// A segment of a disk: blocks with the content of files, written by `ErofsPacker`.
public struct ErofsSegment: Sendable {
    public let blockCount: UInt64
    /// The contents that are too small for blocks.
    public let small: ContentSource

    public init(blockCount: UInt64, small: ContentSource) {
        self.blockCount = blockCount
        self.small = small
    }
}

/// Writes the metadata of a read-only EROFS disk: a tree whose content lies in segments already.
///
/// The disk is the metadata and the segments one after the other, each in a file of its own, so that disks share the
/// segments. The same tree over the same segments gives the same metadata to the byte: order, placement and times come from the
/// tree alone, and the file system's identifier is a digest of the metadata. From front to back: superblock; data of large
/// folders; inodes, each with its attributes and with its data or the table that says where that lies.
public struct ErofsImageWriter {
    private let tree: FileTree
    private let segments: [ErofsSegment]
    private var inodes: ErofsInodeTable
    private let output: BlockOutput
    /// Where each segment begins on the disk.
    private var bases: [UInt64] = []

    /// Writes to two empty files that were opened for reading and writing: the metadata, and SHA-256 of each of its blocks.
    ///
    /// Nothing is synchronised.
    /// - Parameter tree: every file in it is packed.
    /// - Throws: the files then hold part of the metadata.
    public static func write(
        _ tree: FileTree, over segments: [ErofsSegment], to file: borrowing HostFile, leaves: borrowing HostFile,
        maximumBytes: UInt64 = 1 << 43
    ) throws(ErofsError) -> ErofsSummary {
        let output: BlockOutput
        do throws(HostFileError) {
            output = BlockOutput(
                try file.duplicate(), leaves: try leaves.duplicate(), reservedBlocks: 1,
                maximumBytes: min(maximumBytes, 1 << 43), progress: { _ in })
        } catch {
            throw .host(error)
        }
        var writer = ErofsImageWriter(
            tree: tree, segments: segments, inodes: try ErofsInodeTable(tree), output: output)
        return try writer.write()
    }

    private mutating func write() throws(ErofsError) -> ErofsSummary {
        for index in 0..<inodes.count { try layOutFile(index) }
        let inodesBlock = placeInline() + output.block
        let inodesBytes = placeInodes()
        let metadataBlocks = inodesBlock + inodesBytes / UInt64(ErofsLayout.blockBytes)
        var blocks = metadataBlocks
        for segment in segments {
            bases.append(blocks)
            blocks += segment.blockCount
        }
        guard let blockCount = UInt32(exactly: blocks), let firstInodeBlock = UInt32(exactly: inodesBlock),
            let rootSlot = UInt16(exactly: inodes[0].slot)
        else { throw .tooLarge("the disk would have \(blocks) blocks, more than the format can count") }
        try writeInlineBlocks()
        try writeInodes(at: inodesBlock, inodesBytes)
        let superblock = ErofsSuperblock(
            rootSlot: rootSlot, inodeCount: UInt64(inodes.count), buildSeconds: inodes.commonTime.seconds,
            buildNanoseconds: inodes.commonTime.nanoseconds, blockCount: blockCount, metadataBlock: firstInodeBlock,
            identifier: identifier(), hasChunkedFiles: inodes.inodes.contains { $0.dataLayout == .chunkBased },
            hasCompressedFiles: inodes.inodes.contains { $0.dataLayout == .compressed })
        let written = try output.finish(firstBlocks: superblock.firstBlock())
        return ErofsSummary(metadataBlocks: written, blockCount: blocks, inodeCount: inodes.count)
    }

    /// A UUID of version 8 (contents of one's own choosing). Source: RFC 9562 §5.8.
    private func identifier() -> [UInt8] {
        var bytes = Array(output.digestSoFar().bytes.prefix(16))
        bytes[6] = bytes[6] & 0x0f | 0x80
        bytes[8] = bytes[8] & 0x3f | 0x80
        return bytes
    }

    // MARK: - Files

    /// Says where a file's content lies; blocks are still counted in its segment.
    private mutating func layOutFile(_ index: Int) throws(ErofsError) {
        if case .file = tree[inodes[index].node].kind { throw .unpacked }
        guard let content = tree[inodes[index].node].packedContent else { return }
        let place = Self.place(content, after: inodes[index].headerBytes)
        inodes[index].dataLayout = place.layout
        inodes[index].dataField = place.field
        inodes[index].tableBytes = place.tableBytes
    }

    /// How a file's inode says where its content lies, and how long the table behind it is. Small contents get their place
    /// later.
    private static func place(
        _ content: PackedContent, after headerBytes: Int
    ) -> (layout: ErofsDataLayout, field: UInt32, tableBytes: Int) {
        switch content.form {
        case .small, .flat: return (.flatPlain, 0, 0)
        case .chunked(let chunks):
            return (.chunkBased, UInt32(chunks.bits - Int(ErofsLayout.blockBits)), 4 * chunks.blocks.count)
        case .compressed(let clusters):
            let tableBytes = ErofsClusterTable.byteCount(sizeBytes: content.sizeBytes, after: headerBytes)
            return (.compressed, clusters.reduce(0) { $0 &+ $1.blockCount }, tableBytes)
        }
    }

    /// The block of the disk that a segment's block is.
    private func base(_ content: PackedContent) -> UInt64 { bases[content.segment] }

    /// The first block of a flat file, in its segment.
    private static func flatBlock(_ content: PackedContent) -> UInt64? {
        guard case .flat(let block) = content.form else { return nil }
        return UInt64(block)
    }

    /// The table that follows a file's inode.
    private func table(_ content: PackedContent, after headerBytes: Int) -> [UInt8] {
        switch content.form {
        case .small, .flat: return []
        case .chunked(let chunks):
            var table: [UInt8] = []
            table.reserveCapacity(4 * chunks.blocks.count)
            for block in chunks.blocks {
                table.append(
                    littleEndian: block.map { UInt32(truncatingIfNeeded: base(content) + UInt64($0)) }
                        ?? ErofsLayout.hole)
            }
            return table
        case .compressed(let clusters):
            return ErofsClusterTable(sizeBytes: content.sizeBytes, clusters: clusters)
                .encoded(after: headerBytes, base: base(content))
        }
    }

    // MARK: - What lies in the metadata

    /// Gives folders, links and small files, whose data lies in the metadata, their place; returns how many blocks go before
    /// the inodes.
    private mutating func placeInline() -> UInt64 {
        let first = output.block
        var next = first
        for index in 0..<inodes.count where isInline(index) {
            if inodes[index].fileType == .folder { inodes[index].sizeBytes = folder(index).sizeBytes }
            next += ErofsLayout.blocks(for: placeFlat(index, startingAt: next))
        }
        return next - first
    }

    private func isInline(_ index: Int) -> Bool {
        if case .small = tree[inodes[index].node].packedContent?.form { return true }
        return inodes[index].fileType == .folder || inodes[index].fileType == .symbolicLink
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

    private func folder(_ index: Int) -> ErofsFolder {
        var children: [ErofsFolder.Entry] = []
        for (name, node) in tree.sortedEntries(inodes[index].node) {
            guard let child = inodes.index(of: node) else { continue }
            children.append(ErofsFolder.Entry(name: name.bytes, inodeIndex: child))
        }
        return ErofsFolder(children, itself: index, parent: inodes[index].parent)
    }

    /// The whole data of what lies in the metadata.
    private func inlineData(_ index: Int) throws(ErofsError) -> [UInt8] {
        switch tree[inodes[index].node].kind {
        case .folder: return folder(index).encoded { (inodes[$0].slot, inodes[$0].fileType) }
        case .symbolicLink(let target): return target
        default:
            guard let content = tree[inodes[index].node].packedContent, case .small(let offset) = content.form else {
                return []
            }
            return try small(content, offset)
        }
    }

    private func small(_ content: PackedContent, _ offset: UInt64) throws(ErofsError) -> [UInt8] {
        let source = segments[content.segment].small
        do throws(FileTreeError) {
            return try source.withFile { file throws(FileTreeError) in
                var bytes = [UInt8](repeating: 0, count: Int(content.sizeBytes))
                let count: Int
                do throws(HostFileError) {
                    count = try file.read(bytes.count, at: offset, into: &bytes)
                } catch {
                    throw .host(error)
                }
                guard count == bytes.count else { throw .changedWhileReading(file.path) }
                return bytes
            }
        } catch {
            throw .content(error)
        }
    }

    private func writeInlineBlocks() throws(ErofsError) {
        for index in 0..<inodes.count where isInline(index) {
            let wholeBytes = Int(inodes[index].sizeBytes) - inodes[index].inlineBytes
            if wholeBytes == 0 { continue }
            let data = try inlineData(index)
            try output.write(data.span.extracting(first: wholeBytes))
            try output.padToBlock()
        }
    }

    // MARK: - Inodes

    /// Gives each inode its slot; returns their length.
    private mutating func placeInodes() -> UInt64 {
        var packer = ErofsMetadataPacker()
        for index in 0..<inodes.count { inodes[index].slot = packer.place(inodes[index].recordBytes) }
        return packer.sizeBytes
    }

    private func writeInodes(at block: UInt64, _ bytes: UInt64) throws(ErofsError) {
        let start = block * UInt64(ErofsLayout.blockBytes)
        let order = (0..<inodes.count).sorted { inodes[$0].slot < inodes[$1].slot }
        for index in order {
            var inode = inodes[index]
            try output.writeZeros(start + inode.slot * UInt64(ErofsLayout.slotBytes) - output.position)
            var table: [UInt8] = []
            if let content = tree[inodes[index].node].packedContent {
                table = self.table(content, after: inode.headerBytes)
                if let block = Self.flatBlock(content) {
                    inode.dataField = UInt32(truncatingIfNeeded: base(content) + block)
                }
            }
            try output.write(inode.encodedHeader(tree[inode.node].attributes, number: UInt32(index) &+ 1))
            try output.write(table)
            if inode.inlineBytes == 0 { continue }
            let data = try inlineData(index)
            try output.write(data.span.extracting(last: inode.inlineBytes))
        }
        try output.writeZeros(start + bytes - output.position)
    }
}
