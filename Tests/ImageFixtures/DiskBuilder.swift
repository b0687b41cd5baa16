public import ErofsFormat
public import FileTrees
import Foundation
import HostFiles

/// Makes a disk of one segment, in one file, as a guest sees it.
public struct DiskBuilder: ~Copyable {
    private let folder: String
    public let packer: ErofsPacker

    /// The scratch files lie in `folder`.
    public init(in folder: String, maximumBytes: UInt64 = 1 << 43) throws {
        self.folder = folder
        packer = ErofsPacker(
            ErofsPacker.Files(
                blocks: try Self.file(folder, "segment"), leaves: try Self.file(folder, "segment-leaves"),
                small: try Self.file(folder, "segment-small")), maximumBytes: maximumBytes)
    }

    private static func file(_ folder: String, _ name: String) throws -> HostFile {
        try HostFile(HostPath(folder + "/." + name), [.readWrite, .create, .truncate])
    }

    /// Packs what is not packed yet, and writes the disk to the file of that name.
    public consuming func write(_ tree: FileTree, to name: String) throws -> ErofsSummary {
        var tree = tree
        try tree.pack(with: packer)
        let blocks = try packer.finish()
        let segment = ErofsSegment(
            blockCount: blocks, small: ContentSource(try HostFile(HostPath(folder + "/.segment-small"))))
        let metadata = try Self.file(folder, "metadata")
        let leaves = try Self.file(folder, "metadata-leaves")
        let summary = try ErofsImageWriter.write(tree, over: [segment], to: metadata, leaves: leaves)
        try shell("cat .metadata .segment > \(name); rm .metadata* .segment*", in: folder)
        return summary
    }
}
