import AppImages
import Archives
import ErofsFormat
import Ext4Format
import FileTrees
import HostFiles
import OCIImages

/// Reads any bytes as an archive, lays it into a tree as an image's layer and, when that works, writes the disk.
///
/// Whatever the bytes are, this returns: an error is an answer, a trap is a bug.
public func fuzzTarArchive(_ bytes: [UInt8]) {
    let limits = TreeLimits(maximumEntries: 2_000, maximumContentBytes: 4 << 20)
    let builder = TreeBuilder(limits: limits)
    guard let plain = try? ArchiveFormat.decompressed(MemoryByteSource(bytes, pieceBytes: 700)),
        let spool = try? ContentSpool(in: HostPath("/tmp"))
    else { return }
    let reader = ByteReader(plain, limit: limits.maximumContentBytes)
    guard (try? builder.add(reader, content: .spool(spool), hasWhiteouts: true)) != nil else { return }
    let path = HostPath("/tmp").appending(".fuzz-\(processID())-\(UInt64.random(in: 0...UInt64.max))")
    guard let disk = try? HostFile(path, [.readWrite, .create, .exclusive]) else { return }
    try? path.removeFile()
    _ = try? ErofsImageWriter.write(builder.tree, to: disk, maximumBytes: 16 << 20)
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

/// Every fuzz target of the image modules with the folder of its corpus below `Fuzz/Corpus`.
public let imageFuzzTargets: [(name: String, run: @Sendable ([UInt8]) -> Void)] = [
    ("tar", fuzzTarArchive), ("oci", fuzzOCIDocuments), ("docker", fuzzDockerArchive),
    ("settings", fuzzSettings), ("ext4", fuzzExt4Superblock), ("signatures", fuzzSignatures),
    ("appliance", fuzzAppliance), ("program", fuzzElfProgram),
]
