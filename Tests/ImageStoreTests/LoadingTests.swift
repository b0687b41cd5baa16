import Archives
import Foundation
import ImageFixtures
import ImageStore
import OCIImages
import Testing

/// Images that come in archives, get names, and go.
@Suite struct LoadingTests {
    let scratch: ScratchFolder
    let store: ImageStore

    init() throws {
        scratch = try ScratchFolder()
        store = ImageStore(root: scratch.appending("store"))
    }

    private func layer(_ text: String) -> [UInt8] {
        var tar = TarBytes()
        tar.add("hello", Array(text.utf8))
        return tar.finished()
    }

    /// A layout with an image for each name.
    private func layout(_ names: String?...) throws -> String {
        var builder = try LayoutBuilder(scratch)
        for (index, name) in names.enumerated() {
            try builder.add([layer("\(index)")], program: #"{"Cmd":["/hello"],"Env":["A=1"]}"#, name: name)
        }
        _ = try builder.layout()
        return scratch.appending("l")
    }

    private func blobs() -> Int {
        ((try? FileManager.default.contentsOfDirectory(atPath: store.root + "/blobs/sha256")) ?? []).count
    }

    @Test("every image of a layout is brought in by its name")
    func layouts() throws {
        let images = try store.archivedImages(in: try layout("one", "two:2", nil))
        #expect(images.map { $0.names.map(\.text) } == [["one"], ["two:2"], []])
        for image in images.prefix(2) { try store.load(image, as: image.names.map(\.text)) }
        #expect(try store.list().map(\.names) == [["one"], ["two:2"]])
        #expect(blobs() == 6)
        #expect(throws: ImageError.self) { try store.load(images[2], as: []) }
    }

    @Test("an image with two names is one")
    func twoNames() throws {
        var builder = try LayoutBuilder(scratch)
        try builder.add([layer("x")], name: "one")
        try builder.add([layer("x")], name: "two")
        _ = try builder.layout()
        let images = try store.archivedImages(in: scratch.appending("l"))
        #expect(images.count == 1)
        #expect(try store.load(images[0], as: ["one", "two"]).names == ["one", "two"])
    }

    @Test("what is in a compressed tar is the same")
    func compressed() throws {
        let plain = try store.load(try store.archivedImages(in: try layout("one"))[0], as: ["plain"])
        try shell("tar c -C l . | gzip > l.tar.gz; tar c -C l . | zstd -q > l.tar.zst", in: scratch.path)
        for name in ["l.tar.gz", "l.tar.zst"] {
            let image = try store.archivedImages(in: scratch.appending(name))[0]
            #expect(try store.load(image, as: [name]).digest == plain.digest)
        }
    }

    @Test("plain files are told to be imported")
    func plainFiles() throws {
        try scratch.write("root/file", [1])
        let error = #expect(throws: ImageError.self) { try store.archivedImages(in: scratch.appending("root")) }
        #expect(error?.code == .invalidSource)
        #expect(error?.message.contains("image import") == true)
    }

    @Test("a layer that is not what its digest says brings nothing in")
    func wrongLayer() throws {
        let folder = try layout("one")
        let image = try #require(try store.archivedImages(in: folder).first)
        let layer = folder + "/blobs/sha256/" + image.image.layers[0].digest.hex
        var bytes = try readFile(layer)
        bytes[600] ^= 1
        try Data(bytes).write(to: URL(fileURLWithPath: layer))
        let again = try #require(try store.archivedImages(in: folder).first)
        #expect(throws: ImageError.self) { try store.load(again, as: ["one"]) }
        #expect(try store.list().isEmpty)
    }

    @Test("what the person who imports says is in what is handed on")
    func overrides() throws {
        var settings = ImportSettings()
        settings.overrides.command = ["/other"]
        settings.overrides.environment = ["B=2"]
        let image = try store.importImage(from: try layout("one"), as: "changed", settings: settings)
        let parts = try store.parts(of: image)
        let text = String(decoding: parts.configurationBytes, as: UTF8.self)
        #expect(text.contains("/other") && text.contains("B=2") && text.contains("A=1"))
        #expect(image.configuration.command == ["/other"])
        let original = try store.importImage(from: scratch.appending("l"), as: "original")
        #expect(original.manifest != image.manifest && original.diskDigest == image.diskDigest)
        #expect(try store.parts(of: original).layers == parts.layers)
    }

    /// A layout whose only image is for two processors, and something that is said about them besides.
    private func platforms() throws -> (path: String, index: SHA256Digest) {
        var builder = try LayoutBuilder(scratch)
        for name in ["amd64", "arm64"] { try builder.add([layer(name)], architecture: name) }
        let note = try builder.blob(Array("{}".utf8))
        let said = try builder.blob(
            Array(#"{"schemaVersion":2,"config":{\#(note)},"layers":[{\#(note)}]}"#.utf8))
        let kind = #""mediaType":"application/vnd.oci.image.manifest.v1+json""#
        let unknown = #""platform":{"os":"unknown","architecture":"unknown"}"#
        builder.manifests.append("{\(kind),\(said),\(unknown)}")
        let manifests = builder.manifests.joined(separator: ",")
        let bytes = Array(#"{"schemaVersion":2,"manifests":[\#(manifests)]}"#.utf8)
        let index = try builder.blob(bytes)
        builder.manifests = [#"{"mediaType":"application/vnd.oci.image.index.v1+json",\#(index)}"#]
        _ = try builder.layout()
        return (scratch.appending("l"), SHA256.digest(of: bytes))
    }

    @Test("of an index all that is in the archive is kept, and handed on whole")
    func indexes() throws {
        let (path, index) = try platforms()
        let image = try store.load(try store.archivedImages(in: path)[0], as: ["both"])
        let top = try store.top(of: image)
        #expect(top.document.part.digest == index && top.missingManifests == 0)
        #expect(top.below.count == 3 && top.blobs.count == 5)
        #expect(image.blobs.first == index && blobs() == 9)
        #expect(try store.prune(isDryRun: false).files.isEmpty)
    }

    @Test("of an index with holes the image alone is handed on")
    func holes() throws {
        let (path, _) = try platforms()
        let other = try store.archivedImages(
            in: path,
            settings: {
                var settings = ImportSettings()
                settings.architecture = "arm64"
                return settings
            }())[0]
        try FileManager.default.removeItem(atPath: path + "/blobs/sha256/" + other.image.manifestDigest.hex)
        let image = try store.load(try store.archivedImages(in: path)[0], as: ["one"])
        let top = try store.top(of: image)
        #expect(top.document.part.digest == image.manifest && top.missingManifests == 1 && top.blobs.count == 2)
    }

    @Test("an image made of files has one layer, which is handed on and is the same each time")
    func layerOfFiles() throws {
        try scratch.write("root/file", [1])
        var settings = ImportSettings()
        settings.overrides.command = ["/file"]
        settings.overrides.environment = ["A=b"]
        let image = try store.importImage(from: scratch.appending("root"), as: "files", settings: settings)
        let top = try store.top(of: image)
        let parts = try store.parts(of: image)
        #expect(top.document.part.digest == image.manifest && top.blobs.count == 2)
        #expect(parts.layers.map(\.part.mediaType) == ["application/vnd.oci.image.layer.v1.tar+gzip"])
        #expect(image.configuration.command == ["/file"] && image.configuration.environment == ["A=b"])
        _ = try store.remove("files")
        #expect(
            try store.importImage(from: scratch.appending("root"), as: "again", settings: settings).digest
                == image.digest)
    }

    @Test("a docker archive's plain layers are compressed, for nobody has said how they are stored")
    func compressedLayers() throws {
        let plain = layer(String(repeating: "7", count: 100_000))
        let tarDigest = SHA256.digest(of: plain)
        try scratch.write("archive/layer.tar", plain)
        try scratch.write(
            "archive/config.json",
            Array(
                #"{"architecture":"\#(ImportSettings.hostArchitecture)","os":"linux","rootfs":{"type":"layers","diff_ids":["\#(tarDigest)"]}}"#
                    .utf8))
        try scratch.write(
            "archive/manifest.json",
            Array(#"[{"Config":"config.json","RepoTags":["box:1"],"Layers":["layer.tar"]}]"#.utf8))
        let image = try store.load(try store.archivedImages(in: scratch.appending("archive"))[0], as: ["box"])
        let parts = try store.parts(of: image)
        #expect(parts.layers.map(\.tarDigest) == [tarDigest])
        #expect(parts.layers[0].part.mediaType.hasSuffix("+gzip") && parts.layers[0].part.sizeBytes < 5000)
        // A layer that is not the one that its configuration names.
        try scratch.write("archive/layer.tar", layer("other"))
        let wrong = try store.archivedImages(in: scratch.appending("archive"))[0]
        let error = #expect(throws: ImageError.self) { try store.load(wrong, as: ["wrong"]) }
        #expect(error?.code == .wrongBlob)
    }

    // MARK: - Names

    @Test("a tag is one more name, and takes it from another image")
    func tags() throws {
        let images = try store.archivedImages(in: try layout("one", "two"))
        for image in images { try store.load(image, as: image.names.map(\.text)) }
        #expect(try store.tag("one", as: "more").names == ["more", "one"])
        #expect(try store.tag("two", as: "more").names == ["more", "two"])
        #expect(try store.tag("two", as: "one").names == ["more", "one", "two"])
        #expect(try store.list().count == 1 && blobs() == 3)
        #expect(throws: ImageError.self) { try store.tag("nothing", as: "x") }
        #expect(throws: ImageError.self) { try store.tag("two", as: "-x") }
    }

    // MARK: - Pruning

    @Test("a clean-up takes what dead commands left, and nothing that has a name or a lease")
    func pruning() throws {
        let image = try store.load(try store.archivedImages(in: try layout("one"))[0], as: ["one"])
        let lease = try BlobLease(store)
        let leased = SHA256.digest(of: [1, 2, 3])
        try lease.keep(leased)
        let root = store.root
        try shell(
            """
            echo abc > blobs/sha256/\(leased.hex); echo loose > blobs/sha256/\(SHA256.digest(of: [9]).hex)
            echo half > temporary/blob-\(SHA256.digest(of: [8]).hex); echo old > disks/\(SHA256.digest(of: [7]).hex).erofs
            """, in: root)
        let planned = try store.prune(isDryRun: true)
        #expect(planned.files.map(\.kind).sorted() == ["blob", "disk", "temporary"])
        #expect(planned.freedBytes > 0 && planned.images.isEmpty)
        #expect(try store.prune(isDryRun: false) == planned)
        #expect(try store.prune(isDryRun: false).files.isEmpty)
        #expect(store.blobs.contains(leased) && blobs() == 4)
        #expect(try store.resolve("one") == image)
        // From here on nobody needs it.
        extendLifetime(lease)
    }

    @Test("with it go the images that may, with all their names")
    func pruningImages() throws {
        for image in try store.archivedImages(in: try layout("one", "two")) {
            try store.load(image, as: image.names.map(\.text))
        }
        try store.tag("one", as: "more")
        let report = try store.prune(isDryRun: true) { $0.names.contains("one") }
        #expect(report.images.map(\.names) == [["more", "one"]] && report.files.count == 8)
        #expect(try store.list().count == 2)
        #expect(try store.prune(isDryRun: false) { $0.names.contains("one") } == report)
        #expect(try store.list().map(\.names) == [["two"]])
        #expect(blobs() == 3)
    }

    @Test("who is about to use an image hears that it is gone")
    func stillThere() throws {
        let image = try store.load(try store.archivedImages(in: try layout("one"))[0], as: ["one"])
        try store.checkStillThere(image.digest)
        _ = try store.prune(isDryRun: false) { _ in true }
        let error = #expect(throws: ImageError.self) { try store.checkStillThere(image.digest) }
        #expect(error?.code == .unknownImage)
    }

    @Test("what somebody holds stays without a name, as long as the holder is there")
    func holds() throws {
        let image = try store.load(try store.archivedImages(in: try layout("one"))[0], as: ["one"])
        let holder = scratch.appending("machine")
        try FileManager.default.createDirectory(atPath: holder, withIntermediateDirectories: false)
        let unknown = #expect(throws: ImageError.self) {
            try store.hold([image.digest, "sha256:" + String(repeating: "0", count: 64)], for: "m", in: holder)
        }
        #expect(unknown?.code == .unknownImage)
        try store.hold([image.digest], for: "m", in: holder)
        #expect(try store.prune(isDryRun: false) { _ in true }.images.isEmpty)
        try store.remove("one")
        #expect(try store.prune(isDryRun: false) { _ in true }.files.isEmpty)
        #expect(try store.list().map(\.names) == [[]])
        #expect(try store.resolve(image.shortDigest).diskPaths == image.diskPaths)
        try store.checkStillThere(image.digest)
        // Who holds it already may go on doing so.
        try store.hold([image.digest], for: "m", in: holder)
        let error = #expect(throws: ImageError.self) { try store.remove(image.digest) }
        #expect(error?.code == .imageInUse)
        try FileManager.default.removeItem(atPath: holder)
        #expect(try store.prune(isDryRun: false).files.contains { $0.kind == "record" })
        #expect(try store.list().isEmpty && blobs() == 0)
    }

    @Test("a hold that cannot be read holds what there is, until it is gone")
    func unreadableHolds() throws {
        let image = try store.load(try store.archivedImages(in: try layout("one"))[0], as: ["one"])
        let holder = scratch.appending("machine")
        try FileManager.default.createDirectory(atPath: holder, withIntermediateDirectories: false)
        try store.hold([image.digest], for: "m", in: holder)
        let hold = store.root + "/holds/m"
        let whole = try Data(contentsOf: URL(fileURLWithPath: hold))
        for damage in [Data(), Data("sha256:noise".utf8), Data(repeating: 0x41, count: 80 << 10)] {
            try damage.write(to: URL(fileURLWithPath: hold))
            if damage.isEmpty { try store.remove("one") }
            #expect(try store.prune(isDryRun: false) { _ in true }.files.isEmpty)
            try store.checkStillThere(image.digest)
        }
        try whole.write(to: URL(fileURLWithPath: hold))
        #expect(try store.prune(isDryRun: false).files.isEmpty)
        try FileManager.default.removeItem(atPath: holder)
        #expect(try store.prune(isDryRun: false).files.contains { $0.kind == "hold" })
        #expect(try store.list().isEmpty)
    }

    @Test("a store that is not there is not made, and one with a damaged record is left alone")
    func pruningNothing() throws {
        #expect(try store.prune(isDryRun: false).files.isEmpty)
        #expect(!FileManager.default.fileExists(atPath: store.root))
        try store.load(try store.archivedImages(in: try layout("one"))[0], as: ["one"])
        try shell("for file in records/*; do echo > $file; done", in: store.root)
        let error = #expect(throws: ImageError.self) { try store.prune(isDryRun: false) }
        #expect(error?.code == .damagedStore && blobs() == 3)
    }
}
