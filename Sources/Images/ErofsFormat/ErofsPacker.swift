import Archives
public import FileTrees
public import HostFiles

/// Packs the content of files into the blocks of a segment: compressed where that saves blocks, each content once.
///
/// A segment is a pure function of what was packed, in order. Memory grows with the number of different files, not with their
/// length.
public final class ErofsPacker: ContentPacker {
    private let output: BlockOutput
    private let small: HostFile
    private var smallPending: [UInt8] = []
    private var smallFlushedBytes: UInt64 = 0
    private let segment: Int
    private let compressor = ClusterCompressor()
    private var known: [ContentKey: PackedContent.Form] = [:]
    private var window = ContentWindow()

    private struct ContentKey: Hashable {
        let digest: SHA256Digest
        let sizeBytes: UInt64
    }

    /// Up to here a file goes without blocks of its own: it lies in one block with its inode.
    static let maximumSmallBytes = UInt64(ErofsLayout.blockBytes - ErofsLayout.extendedInodeBytes)

    /// Where a segment goes: three empty files, open for reading and writing.
    public struct Files: ~Copyable {
        let blocks: HostFile
        let leaves: HostFile
        let small: HostFile

        /// - Parameters:
        ///   - blocks: the segment's blocks.
        ///   - leaves: SHA-256 of each block.
        ///   - small: the contents that are too small for blocks.
        public init(blocks: consuming HostFile, leaves: consuming HostFile, small: consuming HostFile) {
            self.blocks = blocks
            self.leaves = leaves
            self.small = small
        }
    }

    /// `segment` is its number among those of the disk; `progress` is called with the bytes of the segment about once a MiB.
    public init(
        _ files: consuming Files, segment: Int = 0, maximumBytes: UInt64 = 1 << 43,
        progress: @escaping (UInt64) -> Void = { _ in }
    ) {
        self.segment = segment
        output = BlockOutput(
            files.blocks, leaves: files.leaves, maximumBytes: min(maximumBytes, 1 << 43), progress: progress)
        small = files.small
    }

    /// Writes out what is left. Nothing is synchronised.
    /// - Returns: how many blocks the segment has; a segment may have none.
    public func finish() throws(FileTreeError) -> UInt64 {
        do throws(ErofsError) {
            try flushSmall()
            return try output.finish()
        } catch {
            throw FileTreeError(error)
        }
    }

    public func pack(_ content: any PackableContent) throws(FileTreeError) -> PackedContent {
        do throws(ErofsError) {
            return PackedContent(sizeBytes: content.sizeBytes, form: try form(of: content), segment: segment)
        } catch {
            throw FileTreeError(error)
        }
    }

    private func form(of content: any PackableContent) throws(ErofsError) -> PackedContent.Form {
        if let chunks = ErofsChunks(content.sizeBytes, content.extents) {
            guard chunks.storedBytes <= output.maximumBytes else {
                throw .tooLarge(
                    "a file of \(content.sizeBytes) bytes with holes would take \(chunks.storedBytes) bytes")
            }
            return try packChunks(chunks, content)
        }
        guard content.sizeBytes <= output.maximumBytes else {
            throw .tooLarge(
                "a file of \(content.sizeBytes) bytes is longer than \(output.maximumBytes), the most a disk may be")
        }
        window.begin(content)
        return content.sizeBytes <= Self.maximumSmallBytes ? try packSmall() : try packBlocks()
    }

    // MARK: - Small contents

    private func packSmall() throws(ErofsError) -> PackedContent.Form {
        try window.fill(Int(Self.maximumSmallBytes))
        let offset = smallFlushedBytes + UInt64(smallPending.count)
        try window.withBytes { bytes throws(ErofsError) in smallPending.append(contentsOf: bytes) }
        if smallPending.count >= 1 << 18 { try flushSmall() }
        return .small(offset: offset)
    }

    private func flushSmall() throws(ErofsError) {
        do { try small.write(smallPending, at: smallFlushedBytes) } catch { throw .host(error) }
        smallFlushedBytes += UInt64(smallPending.count)
        smallPending.removeAll(keepingCapacity: true)
    }

    // MARK: - Blocks

    /// Compresses as it reads; a file of which no part got smaller lies flat.
    private func packBlocks() throws(ErofsError) -> PackedContent.Form {
        let first = output.block
        var clusters: [PackedContent.Cluster] = []
        var plainBytes = ClusterCompressor.clusterBytes
        while true {
            try window.fill(ClusterCompressor.maximumInputBytes)
            if window.isEmpty { break }
            let offset = window.offset
            let block = UInt32(truncatingIfNeeded: output.block)
            if let taken = try window.withBytes({ bytes throws(ErofsError) in compressor.compress(bytes) }) {
                try output.write(compressor.padded)
                window.drop(taken)
                plainBytes = ClusterCompressor.clusterBytes
                clusters.append(cluster(offset, block, isPlain: false))
            } else {
                // What did not get smaller here will hardly do so next to it: look again ever later.
                try writePlain(plainBytes)
                plainBytes = min(2 * plainBytes, ClusterCompressor.maximumInputBytes)
                if clusters.last?.isPlain == true, let last = clusters.popLast() {
                    clusters.append(cluster(last.offset, last.block, isPlain: true))
                } else {
                    clusters.append(cluster(offset, block, isPlain: true))
                }
            }
        }
        let key = ContentKey(digest: window.finishDigest(), sizeBytes: window.offset)
        if let form = known[key] {
            output.rewind(to: first)
            return form
        }
        let isFlat = clusters.allSatisfy(\.isPlain)
        let form: PackedContent.Form =
            isFlat ? .flat(block: UInt32(truncatingIfNeeded: first)) : .compressed(clusters)
        known[key] = form
        return form
    }

    /// What was written since `block`, as a cluster.
    private func cluster(_ offset: UInt64, _ block: UInt32, isPlain: Bool) -> PackedContent.Cluster {
        PackedContent.Cluster(
            offset: offset, block: block, blockCount: UInt32(truncatingIfNeeded: output.block) - block, isPlain: isPlain
        )
    }

    private func writePlain(_ bytes: Int) throws(ErofsError) {
        // Up to the end of a block of the file: a block of the disk that is not compressed holds no part of two.
        let lead = Int(window.offset % UInt64(ErofsLayout.blockBytes))
        if lead > 0 {
            try writeFromWindow(min(ErofsLayout.blockBytes - lead, window.count))
            try output.padToBlock()
        }
        let isLast = window.holdsEnd && window.count <= bytes
        let wholeBytes = min(bytes, window.count) / ErofsLayout.blockBytes * ErofsLayout.blockBytes
        try writeFromWindow(isLast ? window.count : wholeBytes)
        try output.padToBlock()
    }

    private func writeFromWindow(_ count: Int) throws(ErofsError) {
        try window.withBytes { bytes throws(ErofsError) in try output.write(bytes.extracting(first: count)) }
        window.drop(count)
    }

    // MARK: - Files with holes

    private func packChunks(_ chunks: ErofsChunks, _ content: any PackableContent) throws(ErofsError)
        -> PackedContent.Form
    {
        var blocks = [UInt32?](repeating: nil, count: Int(chunks.chunkCount))
        window.begin(content)
        for chunk in chunks.stored {
            blocks[Int(chunk)] = UInt32(truncatingIfNeeded: output.block)
            let range = chunks.range(chunk)
            try window.passOver(to: range.lowerBound)
            while window.offset < range.upperBound {
                let count = Int(min(range.upperBound - window.offset, UInt64(ClusterCompressor.maximumInputBytes)))
                try window.fill(count)
                try writeFromWindow(count)
            }
            try output.padToBlock()
        }
        return .chunked(PackedContent.Chunks(bits: chunks.chunkBits, blocks: blocks))
    }
}

extension FileTreeError {
    fileprivate init(_ error: ErofsError) {
        switch error {
        case .content(let error): self = error
        case .host(let error): self = .host(error)
        case .tooLarge, .unpacked: self = .overBound(error.description)
        }
    }
}
