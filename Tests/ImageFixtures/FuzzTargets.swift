import Archives
import ErofsFormat
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
    readLayout(tar)
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
    readLayout(second)
}

private func readLayout(_ tar: TarBytes) {
    let builder = TreeBuilder()
    guard let spool = try? ContentSpool(in: HostPath("/tmp")),
        (try? builder.add(
            ByteReader(MemoryByteSource(tar.finished())), content: .spool(spool), hasWhiteouts: false)) != nil,
        let layout = try? OCILayout(builder.tree)
    else { return }
    _ = try? layout.image(architecture: "amd64")
}

/// Every fuzz target of the image modules with the folder of its corpus below `Fuzz/Corpus`.
public let imageFuzzTargets: [(name: String, run: @Sendable ([UInt8]) -> Void)] = [
    ("tar", fuzzTarArchive), ("oci", fuzzOCIDocuments),
]
