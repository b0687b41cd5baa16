import Archives
import HostFiles

/// Where things lie in the store.
///
///     index.json              which name means which image
///     records/DIGITS.json     one image: its disk and its configuration; DIGITS is the image's digest
///     disks/DIGITS.erofs      one disk; DIGITS is its own SHA-256; images may share it
///     blobs/sha256/DIGITS     one blob of an image that came from a registry: index, manifest, configuration or layer
///     temporary/              disks and blobs that are being written, each locked by its writer; leases on blobs
///     lock                    held while index.json is changed
struct StoreFolders: Sendable {
    let root: HostPath

    var index: HostPath { root.appending("index.json") }
    var records: HostPath { root.appending("records") }
    var disks: HostPath { root.appending("disks") }
    var temporary: HostPath { root.appending("temporary") }
    var lock: HostPath { root.appending("lock") }

    func record(_ image: SHA256Digest) -> HostPath { records.appending(image.hex + ".json") }
    func disk(_ disk: SHA256Digest) -> HostPath { disks.appending(disk.hex + ".erofs") }

    var blobs: HostPath { root.appending("blobs").appending("sha256") }
    func blob(_ blob: SHA256Digest) -> HostPath { blobs.appending(blob.hex) }
    func partialBlob(_ blob: SHA256Digest) -> HostPath { temporary.appending(Self.partial + blob.hex) }
    func newLease() -> HostPath {
        temporary.appending(Self.lease + "\(processID())-\(UInt64.random(in: 0...UInt64.max))")
    }

    static let partial = "blob-"
    static let lease = "lease-"

    func make() throws(HostFileError) {
        for folder in [root, records, disks, temporary] { try folder.makeFolders() }
    }
}
