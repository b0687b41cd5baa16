public import Archives

/// A file's content as it comes out of a tar.
public final class TarContent: PackableContent {
    private let entry: TarEntry
    private let tar: TarReader

    public init(_ entry: TarEntry, _ tar: TarReader) {
        self.entry = entry
        self.tar = tar
    }

    public var sizeBytes: UInt64 { entry.sizeBytes }
    public var extents: [TarEntry.Extent] { entry.extents }

    public func read(into buffer: inout [UInt8]) throws(FileTreeError) -> Int {
        do { return try tar.readContent(into: &buffer) } catch { throw .archive(error) }
    }
}
