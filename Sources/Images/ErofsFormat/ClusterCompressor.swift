import CCompression

/// Compresses as much of a file as fits into a cluster of blocks.
///
/// The disk is read a cluster at a time, so that the cluster's length is what is fixed, not how much of the file it holds. Which
/// compressor, which length, which level: Documentation/design/0025-disks-of-shared-segments.md.
/// Source: Linux Documentation/filesystems/erofs.rst; lz4hc.h, `LZ4_compress_HC_destSize`.
@safe final class ClusterCompressor {
    /// A full cluster: 16 blocks.
    static let clusterBytes = 16 * ErofsLayout.blockBytes
    /// The most of a file that one cluster holds, so that one page costs no more to read than this.
    static let maximumInputBytes = 1 << 19
    private static let level: Int32 = 3

    private let state: UnsafeMutableRawPointer
    private var output = [UInt8](repeating: 0, count: clusterBytes)
    private var outputBytes = 0

    init() {
        // SAFETY: freed in `deinit`; the library asks for eight bytes' alignment and writes no more than the length that it names.
        unsafe state = .allocate(byteCount: Int(LZ4_sizeofStateHC()), alignment: 16)
    }

    deinit { unsafe state.deallocate() }

    /// Compresses the beginning of `input`, whose length is at least one.
    /// - Returns: how much of it, or nil where that takes as many blocks as it does itself.
    func compress(_ input: Span<UInt8>) -> Int? {
        var taken = Int32(min(input.count, Self.maximumInputBytes))
        // SAFETY: the library reads at most `taken` bytes of the input and writes at most the output's length, only during the
        // call; the state is as long as it wants it.
        let count = unsafe input.withUnsafeBytes { input in
            unsafe output.withUnsafeMutableBytes { output in
                unsafe LZ4_compress_HC_destSize(
                    state, input.baseAddress, output.baseAddress, &taken, Int32(output.count), Self.level)
            }
        }
        guard count > 0, taken > 0 else { return nil }
        outputBytes = Int(count)
        let blocks = (outputBytes + ErofsLayout.blockBytes - 1) / ErofsLayout.blockBytes
        // Also where it is the file's end: the last block of a flat file is not full either.
        let plainBlocks = (Int(taken) + ErofsLayout.blockBytes - 1) / ErofsLayout.blockBytes
        guard blocks < plainBlocks, taken > blocks * ErofsLayout.blockBytes else { return nil }
        return Int(taken)
    }

    /// The cluster, with zeros before what was compressed: the kernel finds its beginning by them.
    var padded: [UInt8] {
        let rest = outputBytes % ErofsLayout.blockBytes
        let padding = rest == 0 ? 0 : ErofsLayout.blockBytes - rest
        var bytes: [UInt8] = []
        bytes.reserveCapacity(padding + outputBytes)
        bytes.appendZeros(padding)
        bytes.append(contentsOf: output, first: outputBytes)
        return bytes
    }
}
