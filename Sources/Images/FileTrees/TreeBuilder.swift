public import Archives
import HostFiles

/// Puts a tree together from tars, one over the other.
///
/// It does what the container engines' unpacking does, without unpacking: a later entry replaces an earlier one of its name
/// (a folder over a folder keeps what is in it), links in the way to an entry are followed inside the tree, and whiteouts of a
/// layer hide what lies below it. Names of users in the tar are ignored, their numbers count.
/// Source: OCI image-spec, layer.md, "Applying Changesets", "Whiteouts", "Opaque Whiteout".
public final class TreeBuilder {
    public internal(set) var tree = FileTree()
    public let limits: TreeLimits
    /// Files, folders and links seen so far, over all tars.
    public private(set) var entryCount = 0
    var layer = 0
    var buffer = [UInt8](repeating: 0, count: 1 << 17)

    public init(limits: TreeLimits = TreeLimits()) { self.limits = limits }

    /// Where the content of a tar's files stays until the disk is written.
    public enum ContentPlace {
        /// In the tar itself, a file that can be read at any offset.
        case inPlace(ContentSource)
        /// In a scratch file.
        case spool(ContentSpool)
        /// Nowhere: only the headers are wanted, and every file is one hole.
        case discarded
    }

    /// Lays a tar over what is there and reads it to its very end, so that checksums behind the tar are verified too.
    ///
    /// `hasWhiteouts` is true for the layers of OCI images; in an ordinary tar `.wh.x` is a name like any other.
    /// `progress` is called after every entry.
    public func add(
        _ reader: ByteReader, content: ContentPlace, hasWhiteouts: Bool,
        progress: (TreeBuilder) -> Void = { _ in }
    ) throws(FileTreeError) {
        layer += 1
        let tar = TarReader(reader)
        while let entry = try reading({ () throws(ArchiveError) in try tar.next() }) {
            try add(entry, hasWhiteouts: hasWhiteouts) { () throws(FileTreeError) in
                try fileKind(of: entry, tar, content)
            }
            progress(self)
        }
        try reading { () throws(ArchiveError) in try reader.drain() }
        if case .spool(let spool) = content {
            do { try spool.flush() } catch { throw .host(error) }
        }
    }

    /// Begins a layer of an image, whose entries lie over those of the layers before.
    public func beginLayer() { layer += 1 }

    /// Takes one entry of the layer in, whiteouts too; `content` is that of a file.
    public func add(_ entry: TarEntry, content: PackedContent?) throws(FileTreeError) {
        try add(entry, hasWhiteouts: true) { () throws(FileTreeError) in
            guard let content else { throw .invalidEntry(entry.path, "has no content") }
            return .packedFile(content)
        }
    }

    func reading<R>(_ body: () throws(ArchiveError) -> R) throws(FileTreeError) -> R {
        do { return try body() } catch { throw .archive(error) }
    }

    func countEntry() throws(FileTreeError) {
        entryCount += 1
        guard entryCount <= limits.maximumEntries else {
            throw .overBound("there are more than \(limits.maximumEntries) files, folders and links")
        }
    }
}
