import Archives
import FileTrees
import Foundation
import HostFiles
import ImageFixtures
import OCIImages
import Testing

@Suite struct OCILayoutTests {
    let scratch: ScratchFolder

    init() throws { scratch = try ScratchFolder() }

    private func tar(_ names: String...) -> [UInt8] {
        var tar = TarBytes()
        for name in names { tar.add(name, Array(name.utf8)) }
        return tar.finished()
    }

    private func files(_ layout: OCILayout, _ image: OCIImage) throws -> FileTree {
        let builder = TreeBuilder()
        for layer in image.layers {
            builder.beginLayer()
            try OCIImageReader(layout).readLayer(layer, maximumBytes: 1 << 30) { tar throws(FileTreeError) in
                do throws(ArchiveError) {
                    while let entry = try tar.next() { add(entry, to: builder) }
                } catch {
                    throw .archive(error)
                }
            }
        }
        return builder.tree
    }

    /// Only names are looked at.
    private func add(_ entry: TarEntry, to builder: TreeBuilder) {
        let content = PackedContent(sizeBytes: entry.sizeBytes, form: .small(offset: 0), segment: 0)
        #expect(throws: Never.self) { try builder.add(entry, content: content) }
    }

    @Test("what an image says about its program is read")
    func configuration() throws {
        var builder = try LayoutBuilder(scratch)
        let program =
            #"{"User":"1:2","Env":["A=1"],"Entrypoint":["/e"],"Cmd":["c","d"],"WorkingDir":"/w","Labels":{"k":"v"},"ExposedPorts":{"80/tcp":{},"53/udp":{}},"Volumes":{"/v":{}},"StopSignal":"SIGINT","Healthcheck":{"Test":["CMD-SHELL","true"],"Interval":5000000000,"Timeout":0,"Retries":-1},"Unknown":[1]}"#
        try builder.add([tar("a")], program: program)
        let image = try builder.layout().image(architecture: "amd64")
        #expect(image.user == "1:2")
        #expect(image.environment == ["A=1"])
        #expect(image.entrypoint == ["/e"])
        #expect(image.command == ["c", "d"])
        #expect(image.workingDirectory == "/w")
        #expect(image.labels == ["k": "v"])
        #expect(image.exposedPorts == ["53/udp", "80/tcp"])
        #expect(image.volumes == ["/v"])
        #expect(image.stopSignal == "SIGINT")
        let health = try #require(image.healthCheck)
        #expect(health.test == ["CMD-SHELL", "true"] && health.intervalSeconds == 5)
        #expect(health.timeoutSeconds == nil && health.retries == nil)
    }

    @Test("layers are merged, whiteouts included, whether plain, gzip or zstd")
    func layers() throws {
        var builder = try LayoutBuilder(scratch)
        let (one, two, three) = (tar("a", "b/x", "b/y"), tar("b/.wh.x", "c"), tar("b/.wh..wh..opq", "b/z"))
        try scratch.write("two", two)
        try scratch.write("three", three)
        try shell("gzip two; zstd -q three", in: scratch.path)
        try builder.add(
            [one, try readFile(scratch.appending("two.gz")), try readFile(scratch.appending("three.zst"))],
            tarDigests: [one, two, three].map { SHA256.digest(of: $0) })
        let layout = try builder.layout()
        let tree = try files(layout, try layout.image(architecture: "amd64"))
        for path in ["/a", "/c", "/b/z"] { #expect(tree.lookup(path) != nil) }
        for path in ["/b/x", "/b/y"] { #expect(tree.lookup(path) == nil) }
    }

    @Test("the image for the wanted processor and of the wanted name is chosen")
    func choosing() throws {
        var builder = try LayoutBuilder(scratch)
        try builder.add([tar("a")], architecture: "amd64", name: "one")
        try builder.add([tar("b")], architecture: "arm64", name: "one")
        try builder.add([tar("c")], architecture: "amd64", name: "two")
        let layout = try builder.layout()
        #expect(try layout.image(architecture: "amd64", reference: "one").architecture == "amd64")
        #expect(try layout.image(architecture: "arm64").architecture == "arm64")
        #expect(throws: OCIError.self) { try layout.image(architecture: "amd64") }
        #expect(throws: OCIError.self) { try layout.image(architecture: "riscv64") }
        #expect(throws: OCIError.self) { try layout.image(architecture: "amd64", reference: "three") }
    }

    @Test("an image for another processor is refused, though its index does not say what it is for")
    func unnamedArchitecture() throws {
        var builder = try LayoutBuilder(scratch)
        try builder.add([tar("a")], architecture: "amd64", platform: false)
        let layout = try builder.layout()
        #expect(try layout.image(architecture: "amd64").architecture == "amd64")
        #expect(throws: OCIError.noSuchImage("there is no image for linux/arm64, but one for linux/amd64")) {
            try layout.image(architecture: "arm64")
        }
    }

    @Test("an index that is listed two hundred times in each of three others is read once", .timeLimit(.minutes(1)))
    func repeatedIndexes() throws {
        var builder = try LayoutBuilder(scratch)
        try builder.add([tar("a")])
        for _ in 0..<3 {
            let list = builder.manifests.joined(separator: ",")
            let index = try builder.blob(Array(#"{"schemaVersion":2,"manifests":[\#(list)]}"#.utf8))
            let entry = #"{"mediaType":"application/vnd.oci.image.index.v1+json",\#(index)}"#
            builder.manifests = Array(repeating: entry, count: 200)
        }
        #expect(try builder.layout().image(architecture: "amd64").architecture == "amd64")
    }

    @Test("a blob or a layer that is not what its digest says is refused")
    func wrongDigests() throws {
        var builder = try LayoutBuilder(scratch)
        let layer = tar("a")
        try builder.add([layer], tarDigests: [SHA256.digest(of: [])])
        var layout = try builder.layout()
        var image = try layout.image(architecture: "amd64")
        #expect(throws: OCIError.self) { try files(layout, image) }

        builder.manifests = []
        try builder.add([layer])
        layout = try builder.layout()
        image = try layout.image(architecture: "amd64")
        #expect(try files(layout, image).lookup("/a") != nil)
        var changed = layer
        changed[600] ^= 1
        try scratch.write("l/blobs/sha256/\(SHA256.digest(of: layer).hex)", changed)
        layout = try builder.layout()
        #expect(throws: OCIError.self) { try files(layout, image) }
        try scratch.write("l/blobs/sha256/\(image.manifestDigest.hex)", Array("{}".utf8))
        #expect(throws: OCIError.self) { try builder.layout().image(architecture: "amd64") }
    }

    @Test(
        "documents that are no JSON, lack fields, or are of another kind are refused with the field's name",
        arguments: [
            ("", "not JSON"), ("{", "not JSON"), ("[]", "type"), ("{}", "manifests"),
            (#"{"manifests":{}}"#, "manifests"),
            (#"{"manifests":[]}"#, "no image"), (#"{"manifests":[{"digest":"md5:1","size":1}]}"#, "digest"),
            (#"{"manifests":[{"digest":"sha256:1","size":1}]}"#, "digest"), (#"{"manifests":[{"size":1}]}"#, "digest"),
        ])
    func damagedDocuments(text: String, expected: String) throws {
        let builder = try LayoutBuilder(scratch)
        _ = try builder.layout()
        try scratch.write("l/index.json", Array(text.utf8))
        let layout = try OCILayout(try FileTree(scanning: HostPath(scratch.appending("l"))))
        do {
            _ = try layout.image(architecture: "amd64")
            Issue.record("it was accepted")
        } catch {
            #expect("\(error)".contains(expected), "\(error)")
        }
    }

    @Test("a layout that umoci made and packed is read", .enabled(if: hasTool("umoci"), "umoci is not installed"))
    func umoci() throws {
        let script = """
            umoci init --layout l; umoci new --image l:x
            umoci unpack --rootless --image l:x b; echo one > b/rootfs/one; echo two > b/rootfs/two; mkdir b/rootfs/d; echo x > b/rootfs/d/x
            umoci repack --image l:x b; rm -rf b; umoci unpack --rootless --image l:x b
            rm -rf b/rootfs/one b/rootfs/d; echo three > b/rootfs/three; umoci repack --image l:x b
            umoci config --image l:x --config.cmd /bin/three --config.env A=1
            """
        try shell(script, in: scratch.path)
        let layout = try OCILayout(try FileTree(scanning: HostPath(scratch.appending("l"))))
        let image = try layout.image(architecture: "amd64", reference: "x")
        #expect(image.layers.count == 2)
        #expect(image.command == ["/bin/three"])
        let tree = try files(layout, image)
        #expect(
            tree.sortedEntries(tree.root).map { String(decoding: $0.name.bytes, as: UTF8.self) } == ["three", "two"])
    }
}
