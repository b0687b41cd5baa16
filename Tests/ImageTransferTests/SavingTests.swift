import Archives
import Foundation
import HostFiles
import ImageFixtures
import ImageStore
import ImageTransfer
import OCIImages
import Testing

/// What is saved is read again: here, by skopeo and by umoci.
@Suite struct SavingTests {
    let scratch: ScratchFolder
    let store: ImageStore

    init() throws {
        scratch = try ScratchFolder()
        store = ImageStore(root: scratch.appending("store"))
        var builder = try LayoutBuilder(scratch)
        for name in ["one", "two"] {
            var tar = TarBytes()
            tar.add(name, Array(name.utf8))
            var shared = TarBytes()
            shared.add("shared", [1, 2, 3])
            try builder.add([shared.finished(), tar.finished()], program: #"{"Cmd":["/x"]}"#, name: name)
        }
        _ = try builder.layout()
        for image in try store.archivedImages(in: scratch.appending("l")) {
            try store.load(image, as: image.names.map(\.text))
        }
    }

    private func save(_ names: [String], _ format: ImageSave.Format, to name: String) throws {
        var save = try ImageSave(from: store)
        for name in names { try save.add(try store.resolve(name), as: name) }
        try save.write(format, to: .path(HostPath(scratch.appending(name))))
    }

    @Test("what is saved and loaded again is the same image", arguments: [ImageSave.Format.ociArchive, .ociFolder])
    func layouts(format: ImageSave.Format) throws {
        try save(["one", "two"], format, to: "saved")
        let other = ImageStore(root: scratch.appending("other"))
        for image in try other.archivedImages(in: scratch.appending("saved")) {
            let names = ImageNaming.stored(image)
            #expect(
                try other.load(image, as: names).manifest == (try store.resolve(image.names[0].text.lastName)).manifest)
        }
        #expect(try other.list().map(\.digest).sorted() == (try store.list().map(\.digest).sorted()))
    }

    @Test("a docker archive has the same files and the same configuration, and a manifest of its own")
    func dockerArchives() throws {
        try save(["one", "two"], .dockerArchive, to: "saved.tar")
        let other = ImageStore(root: scratch.appending("other"))
        let images = try other.archivedImages(in: scratch.appending("saved.tar"))
        #expect(images.map { $0.names.map(\.text) } == [["one:latest"], ["two:latest"]])
        for image in images {
            let loaded = try other.load(image, as: ImageNaming.stored(image))
            let original = try store.resolve(image.names[0].text.lastName)
            #expect(loaded.diskDigest == original.diskDigest && loaded.configuration == original.configuration)
            #expect(loaded.names == ["docker.io/library/\(image.names[0].text)"])
        }
    }

    @Test("the same images give the same archive", arguments: ImageSave.Format.allCases.filter { $0 != .ociFolder })
    func reproducible(format: ImageSave.Format) throws {
        try save(["one", "two"], format, to: "a")
        try save(["one", "two"], format, to: "b")
        #expect(try readFile(scratch.appending("a")) == readFile(scratch.appending("b")))
    }

    @Test("an image under two names is saved once")
    func once() throws {
        try store.tag("one", as: "more")
        try save(["one", "more"], .ociArchive, to: "saved.tar")
        let entries = try shell("tar tf saved.tar | grep -c blobs/sha256/.", in: scratch.path)
        #expect(entries.trimmingCharacters(in: .whitespacesAndNewlines) == "4")
        let image = try store.archivedImages(in: scratch.appending("saved.tar"))
        #expect(image.count == 1 && ImageNaming.stored(image[0]).count == 2)
    }

    @Test("skopeo reads what is saved", .enabled(if: hasTool("skopeo"), "needs skopeo"))
    func skopeo() throws {
        try save(["one"], .ociArchive, to: "oci.tar")
        try save(["one"], .ociFolder, to: "folder")
        try save(["one"], .dockerArchive, to: "docker.tar")
        let manifest = try #require(try store.resolve("one").manifest)
        for source in ["oci-archive:oci.tar", "oci-archive:oci.tar:one", "oci:folder:one"] {
            #expect(try shell("skopeo inspect \(source)", in: scratch.path).contains("\(manifest)"), "\(source)")
        }
        for source in ["docker-archive:docker.tar:one:latest", "docker-archive:oci.tar"] {
            try shell("rm -rf out; skopeo copy -q \(source) oci:out:x", in: scratch.path)
            let loaded = try store.importImage(from: scratch.appending("out"), as: "out")
            #expect(loaded.diskDigest == (try store.resolve("one").diskDigest), "\(source)")
        }
    }

    @Test("umoci unpacks what is saved", .enabled(if: hasTool("umoci") && getuid() == 0, "needs umoci, as root"))
    func umoci() throws {
        try save(["two"], .ociFolder, to: "folder")
        try shell("umoci unpack --image folder:two bundle; cat bundle/rootfs/two", in: scratch.path)
    }

    @Test("a damaged blob is refused, and the file that was there stays")
    func damage() throws {
        try scratch.write("saved.tar", [1, 2, 3])
        let layer = try #require(try store.parts(of: try store.resolve("one")).layers.first).part.digest
        var bytes = try readFile(store.blobs.file(layer).description)
        bytes[0] ^= 1
        try Data(bytes).write(to: URL(fileURLWithPath: store.blobs.file(layer).description))
        for format in [ImageSave.Format.ociArchive, .dockerArchive] {
            let error = #expect(throws: ImageError.self) { try save(["one"], format, to: "saved.tar") }
            #expect(error?.code == .damagedStore)
        }
        #expect(throws: ImageError.self) { try save(["one"], .ociFolder, to: "folder") }
        #expect(try readFile(scratch.appending("saved.tar")) == [1, 2, 3])
        let left = try shell("ls | tr '\\n' ' '; ls folder | wc -l", in: scratch.path)
        #expect(left == "folder l saved.tar store 0\n")
    }

    @Test("a folder that is not empty is not written to")
    func occupied() throws {
        try scratch.write("folder/mine", [1])
        let error = #expect(throws: ImageError.self) { try save(["one"], .ociFolder, to: "folder") }
        #expect(error?.code == .unwritableTarget)
        #expect(try shell("ls folder", in: scratch.path) == "mine\n")
        #expect(throws: ImageError.self) { try save(["one"], .ociArchive, to: "folder") }
    }
}

extension String {
    /// `one` of `docker.io/library/one:latest`.
    fileprivate var lastName: String {
        String(split(separator: "/").last?.split(separator: ":").first ?? "")
    }
}
