public import Archives
import ErofsFormat
public import FileTrees
public import HostFiles

/// Reads a layer's index. Whatever the file holds, the answer is entries or an error.
public final class LayerIndexReader {
    private let reader: ByteReader
    private let segment: Int
    /// What the index says at its end.
    public private(set) var summary: LayerSummary?

    /// Begins to read what `verify` has found whole.
    ///
    /// - Parameter segment: the number of the layer's segment among those of the disk.
    public init(_ file: borrowing HostFile, segment: Int) throws(ArchiveError) {
        reader = try Self.reader(file)
        self.segment = segment
        guard try reader.readExactly(LayerIndex.magic.count) == LayerIndex.magic else {
            throw .invalidField("beginning", at: 0)
        }
    }

    private static func reader(_ file: borrowing HostFile) throws(ArchiveError) -> ByteReader {
        do throws(HostFileError) {
            return ByteReader(FileByteSource(try file.duplicate(), range: 0..<(try file.status().sizeBytes)))
        } catch {
            throw .host(error)
        }
    }

    /// Whether the file is as it was written, by a version that writes as this one does.
    public static func verify(_ file: borrowing HostFile) throws(HostFileError) -> Bool {
        let sizeBytes = try file.status().sizeBytes
        guard sizeBytes >= UInt64(SHA256Digest.byteCount) else { return false }
        var buffer = [UInt8](repeating: 0, count: 1 << 18)
        var hash = SHA256()
        guard try file.read(LayerIndex.magic.count, at: 0, into: &buffer) == LayerIndex.magic.count,
            buffer.starts(with: LayerIndex.magic)
        else { return false }
        var offset: UInt64 = 0
        let end = sizeBytes - UInt64(SHA256Digest.byteCount)
        while offset < end {
            let count = try file.read(Int(min(end - offset, UInt64(buffer.count))), at: offset, into: &buffer)
            if count == 0 { return false }
            hash.update(buffer, first: count)
            offset += UInt64(count)
        }
        guard try file.read(SHA256Digest.byteCount, at: end, into: &buffer) == SHA256Digest.byteCount else {
            return false
        }
        return hash.finalize().bytes == Array(buffer[..<SHA256Digest.byteCount])
    }

    /// What a whole index says at its end.
    public static func summary(_ file: borrowing HostFile) throws(ArchiveError) -> LayerSummary? {
        let end = LayerIndex.endBytes + SHA256Digest.byteCount
        var bytes = [UInt8](repeating: 0, count: end)
        do throws(HostFileError) {
            let sizeBytes = try file.status().sizeBytes
            guard sizeBytes >= UInt64(end), try file.read(end, at: sizeBytes - UInt64(end), into: &bytes) == end else {
                return nil
            }
        } catch {
            throw .host(error)
        }
        let reader = try LayerIndexReader(ByteReader(MemoryByteSource(bytes)), segment: 0)
        _ = try reader.next()
        return reader.summary
    }

    private init(_ reader: ByteReader, segment: Int) throws(ArchiveError) {
        self.reader = reader
        self.segment = segment
    }

    /// The next entry, with its content where it is a file; nil after the last, when `summary` is known.
    public func next() throws(ArchiveError) -> (entry: TarEntry, content: PackedContent?)? {
        if summary != nil { return nil }
        guard let kind = LayerIndex.Kind(rawValue: try number()) else { throw invalid("kind") }
        if kind == .end {
            let segment = try digest()
            summary = LayerSummary(segment: segment, blockCount: try number(), small: try digest())
            return nil
        }
        var entry = TarEntry()
        entry.path = try text()
        entry.mode = try number()
        entry.userID = try number()
        entry.groupID = try number()
        entry.modifiedSeconds = try number()
        entry.modifiedNanoseconds = try number()
        for _ in 0..<(try number() as UInt32) {
            entry.extendedAttributes.append(TarEntry.ExtendedAttribute(name: try text(), value: try text()))
        }
        var content: PackedContent?
        switch kind {
        case .end, .folder: entry.kind = .folder
        case .fifo: entry.kind = .fifo
        case .hardLink: entry.kind = .hardLink(target: try text())
        case .symbolicLink: entry.kind = .symbolicLink(target: try text())
        case .characterDevice: entry.kind = .characterDevice(major: try number(), minor: try number())
        case .blockDevice: entry.kind = .blockDevice(major: try number(), minor: try number())
        case .file:
            entry.kind = .file
            let packed = try self.content()
            guard packed.isValid else { throw invalid("content") }
            content = packed
        }
        return (entry, content)
    }

    private func content() throws(ArchiveError) -> PackedContent {
        let sizeBytes: UInt64 = try number()
        guard let form = LayerIndex.Form(rawValue: try number()) else { throw invalid("form") }
        switch form {
        case .small: return PackedContent(sizeBytes: sizeBytes, form: .small(offset: try number()), segment: segment)
        case .flat: return PackedContent(sizeBytes: sizeBytes, form: .flat(block: try number()), segment: segment)
        case .chunked:
            let bits: UInt8 = try number()
            var blocks: [UInt32?] = []
            for _ in 0..<(try number() as UInt32) {
                let block: UInt32 = try number()
                blocks.append(block == LayerIndex.hole ? nil : block)
            }
            let chunks = PackedContent.Chunks(bits: Int(bits), blocks: blocks)
            return PackedContent(sizeBytes: sizeBytes, form: .chunked(chunks), segment: segment)
        case .compressed:
            var clusters: [PackedContent.Cluster] = []
            for _ in 0..<(try number() as UInt32) {
                clusters.append(
                    PackedContent.Cluster(
                        offset: try number(), block: try number(), blockCount: try number(),
                        isPlain: try number() as UInt8 == 1))
            }
            return PackedContent(sizeBytes: sizeBytes, form: .compressed(clusters), segment: segment)
        }
    }

    private func digest() throws(ArchiveError) -> SHA256Digest {
        guard let digest = SHA256Digest(bytes: try reader.readExactly(SHA256Digest.byteCount)) else {
            throw invalid("digest")
        }
        return digest
    }

    private func text() throws(ArchiveError) -> [UInt8] {
        let count: UInt32 = try number()
        guard count <= LayerIndex.maximumTextBytes else { throw invalid("length") }
        return try reader.readExactly(Int(count))
    }

    private func number<T: FixedWidthInteger>() throws(ArchiveError) -> T {
        var value: T = 0
        for (index, byte) in try reader.readExactly(T.bitWidth / 8).enumerated() {
            value |= T(truncatingIfNeeded: byte) << T(truncatingIfNeeded: 8 * index)
        }
        return value
    }

    private func invalid(_ field: String) -> ArchiveError { .invalidField(field, at: reader.position) }
}
