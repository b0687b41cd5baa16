import Archives
public import HostFiles

/// A scratch file without a name that keeps what came through a pipe or a decompressor until the disk is written.
///
/// It vanishes with the process, however that ends.
public final class ContentSpool {
    private let file: HostFile
    public let source: ContentSource
    private var buffer: [UInt8] = []
    private var flushedBytes: UInt64 = 0
    private static let bufferBytes = 1 << 18

    /// Makes the file in `folder`, which should be on the disk that has room for the image.
    public init(in folder: HostPath) throws(HostFileError) {
        let path = folder.appending(".spool-\(processID())-\(UInt64.random(in: 0...UInt64.max))")
        file = try HostFile(path, [.readWrite, .create, .exclusive], mode: 0o600)
        source = ContentSource(try file.duplicate())
        try path.removeFile()
        buffer.reserveCapacity(2 * Self.bufferBytes)
    }

    /// Where the next byte will lie.
    public var offset: UInt64 { flushedBytes + UInt64(buffer.count) }

    /// Adds bytes.
    func append(_ bytes: [UInt8], count: Int) throws(HostFileError) {
        buffer.append(contentsOf: bytes, first: count)
        if buffer.count >= Self.bufferBytes { try flush() }
    }

    /// Puts everything where `source` finds it; wanted before anything is read.
    func flush() throws(HostFileError) {
        guard !buffer.isEmpty else { return }
        try file.write(buffer)
        flushedBytes += UInt64(buffer.count)
        buffer.removeAll(keepingCapacity: true)
    }
}
