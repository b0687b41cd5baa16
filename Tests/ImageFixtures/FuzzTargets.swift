import AppImages
import Archives
import ErofsFormat
import Ext4Format
import FileTrees
import Fleet
import HostFiles
import ImageLayers
import OCIImages

/// Reads any bytes as a layer's archive, converts it, lays it into a tree and, when that works, writes the disk.
///
/// Whatever the bytes are, this returns: an error is an answer, a trap is a bug.
public func fuzzTarArchive(_ bytes: [UInt8]) {
    let limits = TreeLimits(maximumEntries: 2_000, maximumContentBytes: 4 << 20)
    guard let plain = try? ArchiveFormat.decompressed(MemoryByteSource(bytes, pieceBytes: 700)),
        let scratch = LayerScratch(), let conversion = scratch.conversion(limits),
        (try? conversion.add(TarReader(ByteReader(plain, limit: limits.maximumContentBytes)))) != nil,
        (try? conversion.finish()) != nil
    else { return }
    scratch.writeDisk(limits)
}

/// Reads any bytes as a converted layer's index and, when that works, writes the disk.
public func fuzzLayerIndex(_ bytes: [UInt8]) {
    let limits = TreeLimits(maximumEntries: 2_000, maximumContentBytes: 4 << 20)
    guard let scratch = LayerScratch(), (try? scratch.index.write(bytes)) != nil else { return }
    _ = try? LayerIndexReader.verify(scratch.index)
    _ = try? LayerIndexReader.summary(scratch.index)
    scratch.writeDisk(limits)
}

/// The files of a converted layer, none with a name.
private struct LayerScratch: ~Copyable {
    let blocks: HostFile
    let leaves: HostFile
    let small: HostFile
    let index: HostFile

    init?() {
        guard let blocks = scratchFile(), let leaves = scratchFile(), let small = scratchFile(),
            let index = scratchFile()
        else { return nil }
        self.blocks = blocks
        self.leaves = leaves
        self.small = small
        self.index = index
    }

    borrowing func conversion(_ limits: TreeLimits) -> LayerConversion? {
        try? LayerConversion(
            leaves: leaves.duplicate(), blocks: blocks.duplicate(), small: small.duplicate(), index: index.duplicate(),
            maximumBytes: limits.maximumContentBytes)
    }

    borrowing func writeDisk(_ limits: TreeLimits) {
        let builder = TreeBuilder(limits: limits)
        builder.beginLayer()
        guard let reader = try? LayerIndexReader(index, segment: 0), let small = try? small.duplicate(),
            let metadata = scratchFile(), let metadataLeaves = scratchFile()
        else { return }
        while let entry = try? reader.next() {
            guard (try? builder.add(entry.entry, content: entry.content)) != nil else { return }
        }
        guard let summary = reader.summary else { return }
        let segment = ErofsSegment(blockCount: summary.blockCount, small: ContentSource(small))
        _ = try? ErofsImageWriter.write(
            builder.tree, over: [segment], to: metadata, leaves: metadataLeaves, maximumBytes: 16 << 20)
    }
}

/// A file without a name.
private func scratchFile() -> HostFile? {
    let path = HostPath("/tmp").appending(".fuzz-\(processID())-\(UInt64.random(in: 0...UInt64.max))")
    guard let file = try? HostFile(path, [.readWrite, .create, .exclusive]) else { return nil }
    try? path.removeFile()
    return file
}

/// Reads any bytes as each of the documents of an OCI layout.
public func fuzzOCIDocuments(_ bytes: [UInt8]) {
    var tar = TarBytes()
    tar.add("oci-layout", Array(#"{"imageLayoutVersion":"1.0.0"}"#.utf8))
    tar.add("index.json", bytes)
    tar.add("blobs/sha256/" + SHA256.digest(of: bytes).hex, bytes)
    readLayout(tar, [bytes])
    // The same bytes as a manifest or a configuration, behind an index that is right.
    var second = TarBytes()
    let digest = SHA256.digest(of: bytes)
    let descriptor = #"{"digest":"\#(digest)","size":\#(bytes.count)}"#
    let manifest = Array(#"{"config":\#(descriptor),"layers":[]}"#.utf8)
    let manifestDigest = SHA256.digest(of: manifest)
    second.add("oci-layout", Array(#"{"imageLayoutVersion":"1.0.0"}"#.utf8))
    second.add("blobs/sha256/\(digest.hex)", bytes)
    second.add("blobs/sha256/\(manifestDigest.hex)", manifest)
    second.add(
        "index.json",
        Array(#"{"manifests":[{"digest":"\#(manifestDigest)","size":\#(manifest.count)},\#(descriptor)]}"#.utf8))
    readLayout(second, [bytes, manifest])
}

private func readLayout(_ tar: TarBytes, _ documents: [[UInt8]]) {
    let builder = TreeBuilder()
    guard let spool = try? ContentSpool(in: HostPath("/tmp")),
        (try? builder.add(
            ByteReader(MemoryByteSource(tar.finished())), content: .spool(spool), hasWhiteouts: false)) != nil,
        let layout = try? OCILayout(builder.tree)
    else { return }
    _ = try? layout.image(architecture: "amd64")
    _ = try? ImageArchive(builder.tree)?.images(architecture: "amd64")
    // What is shown and handed on: history, kinds, lists.
    for document in documents {
        let (digest, sizeBytes) = (SHA256.digest(of: document), UInt64(document.count))
        _ = try? OCIImageReader(layout).parts(digest, sizeBytes: sizeBytes)
        _ = try? OCIImageReader(layout).contents(ofIndex: digest, sizeBytes: sizeBytes)
    }
}

/// Reads any bytes as the manifest, or as a configuration or layer, of a docker archive.
public func fuzzDockerArchive(_ bytes: [UInt8]) {
    for (manifest, configuration) in [
        (bytes, Array(#"{"rootfs":{"diff_ids":[]}}"#.utf8)),
        (Array(#"[{"Config":"c","Layers":["l"]}]"#.utf8), bytes),
        (Array(#"[{"Config":"c","RepoTags":["a:1"],"Layers":[]}]"#.utf8), bytes),
    ] {
        var tar = TarBytes()
        tar.add("manifest.json", manifest)
        tar.add("c", configuration)
        tar.add("l", bytes)
        tar.addLink("m", to: "l")
        let builder = TreeBuilder()
        guard let spool = try? ContentSpool(in: HostPath("/tmp")),
            (try? builder.add(
                ByteReader(MemoryByteSource(tar.finished())), content: .spool(spool), hasWhiteouts: false)) != nil
        else { continue }
        _ = try? ImageArchive(builder.tree)?.images(architecture: "amd64")
    }
}

/// Reads any bytes as the superblock of a volume.
public func fuzzExt4Superblock(_ bytes: [UInt8]) { _ = Ext4Superblock(bytes) }

/// Reads any bytes as a program, and asks for what it says.
public func fuzzElfProgram(_ bytes: [UInt8]) {
    let program = try? ElfProgram { (offset, count) throws(ElfError) in
        guard let start = Int(exactly: offset), start <= bytes.count else { return [] }
        return Array(bytes[start...].prefix(count))
    }
    _ = program?.mentions("dlopen")
}

/// Reads any bytes as a snapshot's manifest and as its description.
public func fuzzSnapshotDescription(_ bytes: [UInt8]) {
    if let artifact = try? OCIArtifact(parsing: bytes) { try? IncomingSnapshot.check(artifact) }
    _ = try? SnapshotDescription(parsing: bytes)
}

/// Reads any bytes as a monitor's answer, as they come: whatever the pieces are, it is the same one.
public func fuzzMonitorAnswer(_ bytes: [UInt8]) {
    let whole = Result { try MonitorAnswer(bytes) }
    var count = 0
    while count < bytes.count {
        guard let part = try? MonitorAnswer(Array(bytes[..<count])) else {
            count += 1 + count / 8
            continue
        }
        precondition(part == (try? whole.get()), "what comes behind an answer changes nothing of it")
        break
    }
    if let answer = try? whole.get() {
        precondition((100..<600).contains(answer.status), "an answer has a status")
        precondition(answer.body.count < bytes.count, "a body is what came")
    }
}

/// Every fuzz target of the image modules with the folder of its corpus below `Fuzz/Corpus`.
public let imageFuzzTargets: [(name: String, run: @Sendable ([UInt8]) -> Void)] = [
    ("tar", fuzzTarArchive), ("layer", fuzzLayerIndex), ("oci", fuzzOCIDocuments), ("docker", fuzzDockerArchive),
    ("settings", fuzzSettings), ("ext4", fuzzExt4Superblock), ("signatures", fuzzSignatures),
    ("appliance", fuzzAppliance), ("program", fuzzElfProgram), ("snapshot-description", fuzzSnapshotDescription),
    ("monitor-answer", fuzzMonitorAnswer),
]
