import Archives
import HostFiles
import VerityTree

/// A file that is written block after block, together with the digest of each block: the leaves of its hash tree.
///
/// What was written last can be taken back. Memory does not grow with the file.
final class BlockOutput {
    private let file: HostFile
    private let leaves: HostFile
    let maximumBytes: UInt64
    private let progress: (UInt64) -> Void
    /// What has not been written out yet, from `flushedBytes` on.
    private var pending: [UInt8] = []
    private var flushedBytes: UInt64
    /// Of the digests of all blocks that were written out.
    private var written = SHA256()

    private static let blockBytes = ErofsLayout.blockBytes
    private static let pendingBytes = 1 << 20

    /// Begins after `reservedBlocks` blocks, which `finish` fills.
    init(
        _ file: consuming HostFile, leaves: consuming HostFile, reservedBlocks: UInt64 = 0, maximumBytes: UInt64,
        progress: @escaping (UInt64) -> Void
    ) {
        self.file = file
        self.leaves = leaves
        self.maximumBytes = maximumBytes
        self.progress = progress
        flushedBytes = reservedBlocks * UInt64(Self.blockBytes)
        pending.reserveCapacity(2 * Self.pendingBytes)
    }

    /// Where the next byte will lie.
    var position: UInt64 { flushedBytes + UInt64(pending.count) }

    /// The next block's number; what was written last is to be padded before.
    var block: UInt64 { position / UInt64(Self.blockBytes) }

    func write(_ bytes: Span<UInt8>) throws(ErofsError) {
        pending.append(contentsOf: bytes)
        if pending.count >= Self.pendingBytes { try flush() }
    }

    func write(_ bytes: [UInt8]) throws(ErofsError) { try write(bytes.span) }

    func writeZeros(_ count: UInt64) throws(ErofsError) {
        var rest = count
        while rest > 0 {
            let part = min(rest, UInt64(Self.pendingBytes))
            pending.appendZeros(Int(part))
            if pending.count >= Self.pendingBytes { try flush() }
            rest -= part
        }
    }

    /// Fills up to a block's end with zeros.
    func padToBlock() throws(ErofsError) {
        let rest = position % UInt64(Self.blockBytes)
        if rest > 0 { try writeZeros(UInt64(Self.blockBytes) - rest) }
    }

    /// Takes back everything from a block on.
    func rewind(to block: UInt64) {
        let start = block * UInt64(Self.blockBytes)
        if start >= flushedBytes {
            pending.removeLast(Int(position - start))
        } else {
            pending.removeAll(keepingCapacity: true)
            flushedBytes = start
        }
    }

    /// Writes out all whole blocks.
    private func flush() throws(ErofsError) {
        guard position <= maximumBytes else { throw .tooLarge("the disk would be longer than \(maximumBytes) bytes") }
        let bytes = pending.count / Self.blockBytes * Self.blockBytes
        if bytes == 0 { return }
        do throws(HostFileError) {
            let blocks = pending
            try file.write(blocks.span.extracting(first: bytes), at: flushedBytes)
            let digests = HashTreeWriter.digests(of: blocks.span.extracting(first: bytes))
            try leaves.write(digests, at: leafOffset(flushedBytes))
            written.update(digests)
        } catch {
            throw .host(error)
        }
        pending.removeFirst(bytes)
        flushedBytes += UInt64(bytes)
        progress(flushedBytes)
    }

    private func leafOffset(_ position: UInt64) -> UInt64 {
        position / UInt64(Self.blockBytes) * UInt64(SHA256Digest.byteCount)
    }

    /// A digest of everything that was written so far, where nothing was taken back.
    func digestSoFar() -> SHA256Digest {
        var hash = written
        hash.update(pending)
        return hash.finalize()
    }

    /// Ends the file; `firstBlocks` go where room was reserved for them.
    /// - Returns: how many blocks it has.
    func finish(firstBlocks: [UInt8] = []) throws(ErofsError) -> UInt64 {
        try padToBlock()
        try flush()
        do throws(HostFileError) {
            if !firstBlocks.isEmpty {
                try file.write(firstBlocks, at: 0)
                try leaves.write(HashTreeWriter.digests(of: firstBlocks.span), at: 0)
            }
            // Both may be longer where something was taken back.
            try file.truncate(to: flushedBytes)
            try leaves.truncate(to: leafOffset(flushedBytes))
        } catch {
            throw .host(error)
        }
        return block
    }
}
