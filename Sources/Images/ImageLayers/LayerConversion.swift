public import Archives
import ErofsFormat
public import FileTrees
public import HostFiles

/// Turns a layer's tar into a segment and an index, once: every image that has the layer is put together from these.
///
/// It depends on nothing but the tar, so that layers may be converted in any order and side by side.
public final class LayerConversion {
    private let packer: ErofsPacker
    private var index: LayerIndexWriter
    private let segmentLeaves: HostFile
    private let smallContents: HostFile

    /// - Parameters:
    ///   - segment: three empty files, open for reading and writing.
    ///   - index: an empty file, open for writing.
    public init(
        leaves: consuming HostFile, blocks: consuming HostFile, small: consuming HostFile, index: consuming HostFile,
        maximumBytes: UInt64
    ) throws(HostFileError) {
        let leavesAgain = try leaves.duplicate()
        let smallAgain = try small.duplicate()
        segmentLeaves = leavesAgain
        smallContents = smallAgain
        packer = ErofsPacker(
            ErofsPacker.Files(blocks: blocks, leaves: leaves, small: small), maximumBytes: maximumBytes)
        self.index = LayerIndexWriter(index)
    }

    /// Takes every entry of a tar in.
    public func add(_ tar: TarReader) throws(FileTreeError) {
        while let entry = try Self.next(tar) {
            var content: PackedContent?
            if case .file = entry.kind { content = try packer.pack(TarContent(entry, tar)) }
            do { try index.append(entry, content) } catch { throw .host(error) }
        }
    }

    private static func next(_ tar: TarReader) throws(FileTreeError) -> TarEntry? {
        do { return try tar.next() } catch { throw .archive(error) }
    }

    /// Writes out what is left. Nothing is synchronised.
    public func finish() throws(FileTreeError) -> LayerSummary {
        let blockCount = try packer.finish()
        do throws(HostFileError) {
            let summary = LayerSummary(
                segment: try SHA256Digest(ofFile: segmentLeaves), blockCount: blockCount,
                small: try SHA256Digest(ofFile: smallContents))
            try index.finish(summary)
            return summary
        } catch {
            throw .host(error)
        }
    }
}

extension SHA256Digest {
    /// Of a whole file.
    public init(ofFile file: borrowing HostFile) throws(HostFileError) {
        var buffer = [UInt8](repeating: 0, count: 1 << 18)
        var hash = SHA256()
        var offset: UInt64 = 0
        while true {
            let count = try file.read(buffer.count, at: offset, into: &buffer)
            if count == 0 { break }
            hash.update(buffer, first: count)
            offset += UInt64(count)
        }
        self = hash.finalize()
    }
}
