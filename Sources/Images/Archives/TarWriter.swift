public import HostFiles

/// Writes a tar that depends on its entries alone.
///
/// Source: POSIX.1-2024, pax, "ustar Interchange Format"; lengths from 8 GiB on and sparse files as GNU tar writes them.
public struct TarWriter: ~Copyable {
    private let sink: any ByteSink
    private var pending: [UInt8] = []
    private static let pieceBytes = 1 << 18

    public init(_ sink: any ByteSink) { self.sink = sink }

    /// Adds a folder of root's, made at no time.
    public mutating func addFolder(_ name: String, mode: UInt16 = 0o755) throws(HostFileError) {
        var entry = TarEntry()
        entry.path = Array(name.utf8)
        entry.kind = .folder
        entry.mode = mode
        try put(entry.headers)
    }

    /// Adds a file of root's, made at no time, of exactly `sizeBytes`, read from `source` to its end.
    /// - Throws: what the source throws, or `.truncated` when it has another length.
    public mutating func add(
        _ name: String, sizeBytes: UInt64, _ source: any ByteSource, mode: UInt16 = 0o644
    ) throws(ArchiveError) {
        var entry = TarEntry()
        entry.path = Array(name.utf8)
        entry.mode = mode
        entry.sizeBytes = sizeBytes
        entry.extents = [TarEntry.Extent(offset: 0, length: sizeBytes)]
        try add(entry, source)
    }

    public mutating func add(_ name: String, _ bytes: [UInt8], mode: UInt16 = 0o644) throws(ArchiveError) {
        try add(name, sizeBytes: UInt64(bytes.count), MemoryByteSource(bytes), mode: mode)
    }

    /// Adds an entry of any kind, with everything that it says.
    /// - Parameter source: the bytes of the entry's extents, one after the other, to their end.
    /// - Throws: what the source throws, or `.truncated` when it has another length.
    public mutating func add(_ entry: TarEntry, _ source: any ByteSource) throws(ArchiveError) {
        try host { (writer) throws(HostFileError) in try writer.put(entry.headers) }
        let wanted = entry.storedBytes
        var buffer = [UInt8](repeating: 0, count: Self.pieceBytes)
        var done: UInt64 = 0
        while true {
            let count = try source.read(into: &buffer)
            if count == 0 { break }
            done += UInt64(count)
            guard done <= wanted else { throw .truncated(at: wanted) }
            try host { (writer) throws(HostFileError) in
                try writer.flush()
                try writer.sink.write(buffer.span.extracting(first: count))
            }
        }
        guard done == wanted else { throw .truncated(at: done) }
        pending += TarEntry.padding(after: done)
    }

    /// Ends the archive. Whether it is on the disk by then is the caller's to see to.
    public consuming func finish() throws(HostFileError) {
        try put([UInt8](repeating: 0, count: 2 * TarHeader.length))
        try flush()
    }

    private mutating func put(_ bytes: [UInt8]) throws(HostFileError) {
        pending += bytes
        if pending.count >= Self.pieceBytes { try flush() }
    }

    private mutating func flush() throws(HostFileError) {
        if pending.isEmpty { return }
        try sink.write(pending.span)
        pending.removeAll(keepingCapacity: true)
    }

    private mutating func host(_ body: (inout TarWriter) throws(HostFileError) -> Void) throws(ArchiveError) {
        do { try body(&self) } catch { throw .host(error) }
    }
}
