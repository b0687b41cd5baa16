import Archives
import HostFiles

/// Where things lie in the store.
///
///     index.json              which name means which image
///     records/DIGITS.json     one image: its disk and its configuration; DIGITS is the image's digest
///     disks/DIGITS.erofs      one disk; DIGITS is its own SHA-256; images may share it
///     temporary/              disks that are being written, each locked by its writer
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

    func make() throws(HostFileError) {
        for folder in [root, records, disks, temporary] { try folder.makeFolders() }
    }
}
