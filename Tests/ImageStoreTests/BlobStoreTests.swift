import Archives
import Foundation
import ImageFixtures
import ImageStore
import OCIImages
import Testing

/// Images that came as blobs, as a registry gives them.
@Suite struct BlobStoreTests {
    let scratch: ScratchFolder
    let store: ImageStore

    init() throws {
        scratch = try ScratchFolder()
        store = ImageStore(root: scratch.appending("store"))
    }

    private func writer(_ digest: SHA256Digest, _ sizeBytes: UInt64) throws -> BlobWriter {
        guard case .begun(let writer) = try store.blobs.write(digest, sizeBytes: sizeBytes) else {
            throw ImageError(.wrongBlob, "it is there, or busy")
        }
        return writer
    }

    private func append(_ bytes: some Sequence<UInt8>, to writer: BlobWriter) throws {
        let bytes = Array(bytes)
        try writer.append(bytes.span)
    }

    private func write(_ bytes: [UInt8], pieceBytes: Int = 7) throws -> SHA256Digest {
        let digest = SHA256.digest(of: bytes)
        let writer = try writer(digest, UInt64(bytes.count))
        for start in stride(from: 0, to: bytes.count, by: pieceBytes) {
            try append(bytes[start..<min(bytes.count, start + pieceBytes)], to: writer)
        }
        try writer.finish()
        return digest
    }

    private func blobs() -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: store.root + "/blobs/sha256")) ?? []).sorted()
    }

    /// An image of one layer with one file, its blobs in the store and under the lease.
    private func image(_ text: String, _ lease: BlobLease) throws -> OCIImage {
        var tar = TarBytes()
        tar.add("hello", Array(text.utf8))
        var builder = try LayoutBuilder(scratch)
        try builder.add([tar.finished()], program: #"{"Cmd":["/hello"]}"#)
        let layout = try builder.layout()
        let image = try layout.image(architecture: "amd64")
        for digest in [image.manifestDigest, image.configurationDigest] + image.layers.map(\.digest) {
            try lease.keep(digest)
            if !store.blobs.contains(digest) {
                _ = try write(readFile(scratch.appending("l/blobs/sha256/" + digest.hex)), pieceBytes: 1000)
            }
        }
        return image
    }

    @Test("an image made of blobs keeps them, and they go with it")
    func keeping() throws {
        var lease: BlobLease? = try BlobLease(store)
        let image = try image("one", #require(lease))
        let stored = try store.importImage(image, indexes: [], as: "docker.io/library/one:latest")
        #expect(stored.configuration.command == ["/hello"])
        lease = nil
        // Whatever changes the store collects what nothing needs.
        try scratch.write("root/file", [1])
        try store.importImage(from: scratch.appending("root"), as: "other")
        // Each has a manifest, a configuration and a layer.
        #expect(blobs().count == 6)
        try store.remove("docker.io/library/one:latest")
        #expect(blobs().count == 3)
        try store.remove("other")
        #expect(blobs() == [])
    }

    @Test("an image that was pulled and one that was imported share a disk, and are two")
    func manifestsCount() throws {
        let pulled = try store.importImage(try image("one", BlobLease(store)), indexes: [], as: "pulled")
        var tar = TarBytes()
        tar.add("hello", Array("one".utf8))
        var settings = ImportSettings()
        settings.overrides.command = ["/hello"]
        let imported = try store.importImage(
            from: try scratch.write("plain.tar", tar.finished()), as: "imported", settings: settings)
        #expect(pulled.digest != imported.digest)
        #expect(pulled.diskDigest == imported.diskDigest)
        #expect(pulled.configuration == imported.configuration)
    }

    @Test("an image from a layout is the one that was pulled, and keeps its blobs like that")
    func layoutsKeepBlobs() throws {
        let pulled = try store.importImage(try image("one", BlobLease(store)), indexes: [], as: "pulled")
        let imported = try store.importImage(from: scratch.appending("l"), as: "imported")
        #expect(pulled.digest == imported.digest && imported.names == ["imported", "pulled"])
        try store.remove("pulled")
        #expect(blobs().count == 3)
    }

    @Test("blobs under a lease stay, those without one go")
    func leases() throws {
        let lease = try BlobLease(store)
        let kept = try write([1, 2, 3])
        try lease.keep(kept)
        let loose = try write([4, 5, 6])
        try scratch.write("root/file", [1])
        try store.importImage(from: scratch.appending("root"), as: "other")
        #expect(store.blobs.contains(kept) && !store.blobs.contains(loose))
    }

    @Test("a blob that was broken off is gone on with, by whoever comes next")
    func resuming() throws {
        let bytes = (0..<100).map { UInt8($0) }
        let digest = SHA256.digest(of: bytes)
        do {
            let writer = try writer(digest, 100)
            try append(bytes[..<60], to: writer)
        }
        try scratch.write("root/file", [1])
        try store.importImage(from: scratch.appending("root"), as: "other")
        let writer = try writer(digest, 100)
        #expect(writer.writtenBytes == 60)
        try append(bytes[60...], to: writer)
        try writer.finish()
        #expect(store.blobs.contains(digest))
    }

    @Test("a wrong blob is refused and forgotten, one that is too long or too short as well")
    func wrongBlobs() throws {
        let digest = SHA256.digest(of: [1, 2, 3])
        for bytes: [UInt8] in [[1, 2, 4], [1, 2], [1, 2, 3, 4]] {
            let writer = try writer(digest, 3)
            let error = #expect(throws: ImageError.self) {
                try writer.restart()
                try append(bytes, to: writer)
                try writer.finish()
            }
            #expect(error?.code == .wrongBlob)
            #expect(!store.blobs.contains(digest))
        }
        #expect(try write([1, 2, 3]) == digest)
    }

    @Test("a blob that somebody writes is busy for all others, and there when it is finished")
    func twoWriters() throws {
        let digest = SHA256.digest(of: [1, 2, 3])
        let first = try writer(digest, 3)
        guard case .isBusy = try store.blobs.write(digest, sizeBytes: 3) else {
            Issue.record("two write one blob")
            return
        }
        try append([1, 2, 3], to: first)
        try first.finish()
        guard case .isThere = try store.blobs.write(digest, sizeBytes: 3) else {
            Issue.record("a finished blob is not there")
            return
        }
    }
}
