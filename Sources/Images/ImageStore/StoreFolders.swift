import Archives
import HostFiles

/// Where things lie in the store.
///
///     index.json              which name means which image
///     records/DIGITS.json     one image: its disk and its configuration; DIGITS is the image's digest
///     disks/DIGITS.metadata   superblock, folders and inodes of one disk; DIGITS is the root hash of its dm-verity tree
///     disks/DIGITS.hashes     that tree
///     segments/DIGITS.blocks  content of files, which disks share; DIGITS is SHA-256 of the digests of its blocks
///     segments/DIGITS.leaves  these digests
///     layers/DIGITS.index     a converted layer: its entries, and where in which segment their content lies; DIGITS is the
///                             digest of its tar
///     layers/DIGITS.small     the layer's contents that are too small for blocks
///     blobs/sha256/DIGITS     one blob of an image that came from a registry: index, manifest, configuration or layer
///     temporary/              disks and blobs that are being written, each locked by its writer; leases on blobs
///     holds/NAME              what somebody keeps, names or not: the path of its folder, then digests of images
///     lock                    held while index.json is changed
struct StoreFolders: Sendable {
    let root: HostPath

    var index: HostPath { root.appending("index.json") }
    var records: HostPath { root.appending("records") }
    var disks: HostPath { root.appending("disks") }
    var temporary: HostPath { root.appending("temporary") }
    var holds: HostPath { root.appending("holds") }
    var lock: HostPath { root.appending("lock") }

    func record(_ image: SHA256Digest) -> HostPath { records.appending(image.hex + ".json") }
    func metadata(_ disk: SHA256Digest) -> HostPath { disks.appending(disk.hex + ".metadata") }
    func hashes(_ disk: SHA256Digest) -> HostPath { disks.appending(disk.hex + ".hashes") }

    var segments: HostPath { root.appending("segments") }
    func blocks(_ segment: SHA256Digest) -> HostPath { segments.appending(segment.hex + ".blocks") }
    func leaves(_ segment: SHA256Digest) -> HostPath { segments.appending(segment.hex + ".leaves") }

    var layers: HostPath { root.appending("layers") }
    func layerIndex(_ layer: SHA256Digest) -> HostPath { layers.appending(layer.hex + ".index") }
    func smallContents(_ layer: SHA256Digest) -> HostPath { layers.appending(layer.hex + ".small") }

    func part(_ part: DiskPart) -> HostPath? {
        guard let digest = SHA256Digest(hex: part.digits) else { return nil }
        switch part.kind {
        case .metadata: return metadata(digest)
        case .segment: return blocks(digest)
        case .hashes: return hashes(digest)
        case .whole: return blob(digest)
        }
    }

    var blobs: HostPath { root.appending("blobs").appending("sha256") }
    func blob(_ blob: SHA256Digest) -> HostPath { blobs.appending(blob.hex) }
    func partialBlob(_ blob: SHA256Digest) -> HostPath { temporary.appending(Self.partial + blob.hex) }
    func newLease() -> HostPath {
        temporary.appending(Self.lease + "\(processID())-\(UInt64.random(in: 0...UInt64.max))")
    }

    static let partial = "blob-"
    static let lease = "lease-"
    static let work = "work-"

    func make() throws(HostFileError) {
        for folder in [root, records, disks, segments, layers, temporary] { try folder.makeFolders() }
    }
}
