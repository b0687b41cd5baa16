import AgentProtocol
import Archives
import HostFiles
import LinuxCalls
import VerityTree

/// A root disk of a test's own with its hash tree: the busybox image's files, a large one with random content at `/payload`,
/// and a folder `/many` whose names fill blocks of their own.
final class VerifiedDisk {
    static let blockBytes = 4096
    static let payloadBlocks = 400
    let scratch: ScratchFiles
    /// Three files of data, the second one with most of the payload, and the tree.
    let segments: [String]
    let rootHash: [UInt8]
    let dataBlocks: Int
    /// Where the payload lies on the disk.
    let payload: Range<Int>
    /// A block of the folder.
    let folderBlock: Int
    /// The second segment.
    let middle: Range<Int>

    init() throws {
        scratch = try ScratchFiles()
        let disk = scratch.path("disk")
        try shellHere(
            """
            cd \(scratch.folder)
            cat \(try Lab.image().diskPaths.joined(separator: " ")) > image
            fsck.erofs --extract=tree image > /dev/null
            head -c \(Self.payloadBlocks * Self.blockBytes) /dev/urandom > tree/payload
            mkdir tree/many
            for i in $(seq 1000 1400); do : > tree/many/a-name-that-is-long-enough-to-fill-blocks-$i; done
            mkfs.erofs disk tree > mkfs.log 2>&1
            truncate -s %4096 disk
            """)
        let bytes = try HostPath(disk).readWhole(limit: 1 << 30)
        let content = try HostPath(scratch.path("tree/payload")).readWhole(limit: 1 << 30)
        dataBlocks = bytes.count / Self.blockBytes
        func block(_ index: Int) -> ArraySlice<UInt8> {
            bytes[index * Self.blockBytes..<(index + 1) * Self.blockBytes]
        }
        guard let first = (0..<dataBlocks).first(where: { block($0) == content[..<Self.blockBytes] }),
            bytes[first * Self.blockBytes..<(first + Self.payloadBlocks) * Self.blockBytes] == content[...]
        else { throw Lab.CommandFailed(text: "mkfs.erofs has not laid the payload in one piece") }
        payload = first..<first + Self.payloadBlocks
        let name = Array("blocks-1200".utf8)
        guard let folder = (0..<dataBlocks).first(where: { Self.contains(block($0), name) }) else {
            throw Lab.CommandFailed(text: "no block of the folder is found")
        }
        folderBlock = folder

        middle = first + 3..<first + Self.payloadBlocks - 3
        var segments: [String] = []
        for (index, range) in [0..<middle.lowerBound, middle, middle.upperBound..<dataBlocks].enumerated() {
            let path = scratch.path("segment-\(index)")
            try HostFile(HostPath(path), [.writeOnly, .create]).write(
                Array(bytes[range.lowerBound * Self.blockBytes..<range.upperBound * Self.blockBytes]))
            segments.append(path)
        }
        let path = scratch.path("segment-tree")
        let tree = try HostFile(HostPath(path), [.readWrite, .create])
        var writer = HashTreeWriter(dataBlocks: UInt64(dataBlocks))
        try writer.append(HashTreeWriter.digests(of: bytes.span), to: tree)
        rootHash = try writer.finish(tree).bytes
        self.segments = segments + [path]
    }

    private static func contains(_ bytes: ArraySlice<UInt8>, _ text: [UInt8]) -> Bool {
        bytes.indices.dropLast(text.count).contains { bytes[$0] == text[0] && bytes[$0..<$0 + text.count] == text[...] }
    }

    /// A guest on this disk.
    func plan(kernel: String, rootHash: [UInt8]? = nil) -> GuestPlan {
        var plan = GuestPlan(kernel: kernel)
        plan.rootSegments = segments
        plan.configuration.root = RootFileSystem(
            source: "/dev/vda", fileSystem: "erofs",
            verity: Verity(dataBlocks: UInt64(dataBlocks), rootHash: rootHash ?? self.rootHash))
        return plan
    }

    /// The first block of the tree that vouches for nothing but the payload, counted from the beginning of the disk.
    var payloadTreeBlock: Int {
        // The highest level is one block, below it lie those for 128 blocks of data each.
        dataBlocks + 1 + (payload.lowerBound + 127) / 128
    }

    /// Flips one bit of a block, wherever it lies.
    func flip(block: Int, byte: Int = 1234) throws {
        let starts = [0, middle.lowerBound, middle.upperBound, dataBlocks]
        let index = starts.lastIndex { $0 <= block } ?? 0
        let file = try HostFile(HostPath(segments[index]), .readWrite)
        let offset = UInt64((block - starts[index]) * Self.blockBytes + byte)
        var buffer: [UInt8] = [0]
        _ = try file.read(1, at: offset, into: &buffer)
        try file.write([buffer[0] ^ 0x04], at: offset)
    }
}
