public import HostFiles

/// Where a regular file's bytes are to be found. They stay where they are until the disk is written.
public struct FileContent: Sendable {
    /// A run of bytes that lie together in the file and in the source.
    public struct Piece: Equatable, Sendable {
        public let offset: UInt64
        public let length: UInt64
        public let sourceOffset: UInt64

        public init(offset: UInt64, length: UInt64, sourceOffset: UInt64) {
            self.offset = offset
            self.length = length
            self.sourceOffset = sourceOffset
        }

        public var end: UInt64 { offset + length }
    }

    /// Length as a program sees it, at most `Int64.max`.
    public let sizeBytes: UInt64
    /// Ascending, without overlap, none empty, all within `sizeBytes`; the rest is holes.
    public let pieces: [Piece]
    /// Nil only where there are no pieces.
    public let source: ContentSource?

    public init(sizeBytes: UInt64, pieces: [Piece], source: ContentSource?) {
        self.sizeBytes = sizeBytes
        self.pieces = pieces
        self.source = source
    }

    /// Whether every byte is stored.
    public var isDense: Bool { pieces.reduce(0) { $0 + $1.length } == sizeBytes }
}

/// A file of the host that holds the content of one or many files of a tree.
public final class ContentSource: Sendable {
    private enum Place: Sendable {
        case open(OpenFile)
        case named(HostPath, FileStatus)
    }

    private final class OpenFile: Sendable {
        let file: HostFile
        init(_ file: consuming HostFile) { self.file = file }
    }

    private let place: Place

    /// An archive or a scratch file, open for as long as the tree lives.
    public init(_ file: consuming HostFile) { place = .open(OpenFile(file)) }

    /// A file that is opened whenever it is read, and must not have changed since `status` was taken.
    public init(_ path: HostPath, _ status: FileStatus) { place = .named(path, status) }

    /// Calls `body` with the open file.
    public func withFile<R>(
        _ body: (borrowing HostFile) throws(FileTreeError) -> R
    ) throws(FileTreeError) -> R {
        switch place {
        case .open(let open): return try body(open.file)
        case .named(let path, let status):
            let file = try Self.open(path)
            let now: FileStatus
            do { now = try file.status() } catch { throw .host(error) }
            guard now.hasSameContent(as: status) else { throw .changedWhileReading(path) }
            return try body(file)
        }
    }

    private static func open(_ path: HostPath) throws(FileTreeError) -> HostFile {
        do { return try HostFile(path, [.readOnly, .noFollow, .nonBlocking]) } catch { throw .host(error) }
    }
}
