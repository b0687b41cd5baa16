import Archives
import FileTrees
import Foundation
import HostFiles
import ImageFixtures
import OCIImages
import Testing

@Suite struct DockerArchiveTests {
    let scratch: ScratchFolder

    init() throws { scratch = try ScratchFolder() }

    private func layer(_ name: String) -> [UInt8] {
        var tar = TarBytes()
        tar.add(name, Array(name.utf8))
        return tar.finished()
    }

    /// An archive as `docker save` has always written them: layers in folders of their own, a second one behind a link.
    private func write(
        names: String = #"["box:1","box:2"]"#, architecture: String = "amd64", digests: [SHA256Digest]? = nil,
        manifest: String? = nil
    ) throws {
        let (one, two) = (layer("one"), layer("two"))
        let diffs = (digests ?? [SHA256.digest(of: one), SHA256.digest(of: two)]).map { "\"\($0)\"" }
        try scratch.write("a/111/layer.tar", one)
        try scratch.write("a/two.tar", two)
        try FileManager.default.createDirectory(atPath: scratch.appending("a/222"), withIntermediateDirectories: true)
        if !FileManager.default.fileExists(atPath: scratch.appending("a/222/layer.tar")) {
            try FileManager.default.createSymbolicLink(
                atPath: scratch.appending("a/222/layer.tar"), withDestinationPath: "../two.tar")
        }
        try scratch.write(
            "a/c.json",
            Array(
                #"{"architecture":"\#(architecture)","os":"linux","config":{"Cmd":["/one"]},"rootfs":{"diff_ids":[\#(diffs.joined(separator: ","))]}}"#
                    .utf8))
        try scratch.write(
            "a/manifest.json",
            Array(
                (manifest
                    ?? #"[{"Config":"c.json","RepoTags":\#(names),"Layers":["111/layer.tar","222/layer.tar"]}]"#).utf8))
    }

    private func archive() throws -> ImageArchive? {
        try ImageArchive(try FileTree(scanning: HostPath(scratch.appending("a"))))
    }

    @Test("an archive's image has the archive's names, its configuration and its layers")
    func reading() throws {
        try write()
        let archive = try #require(try archive())
        let image = try #require(try archive.images(architecture: "amd64").first)
        #expect(image.names.map(\.text) == ["box:1", "box:2"])
        #expect(!image.names.map(\.isReference).contains(false))
        #expect(image.image.command == ["/one"])
        #expect(image.image.layers.map(\.digest) == [SHA256.digest(of: layer("one")), SHA256.digest(of: layer("two"))])
        #expect(image.blobs.count == 4)
        #expect(image.blobs.contains { $0.digest == image.image.manifestDigest })
    }

    @Test("a layer that is compressed is known by what is stored")
    func compressed() throws {
        try write()
        let plain = SHA256.digest(of: layer("one"))
        try shell("gzip -n layer.tar && mv layer.tar.gz layer.tar", in: scratch.appending("a/111"))
        let image = try #require(try archive()?.images(architecture: "amd64").first)
        #expect(image.image.layers[0].tarDigest == plain)
        #expect(image.image.layers[0].digest == SHA256.digest(of: try readFile(scratch.appending("a/111/layer.tar"))))
    }

    @Test("an image without a name has none")
    func nameless() throws {
        try write(names: "null")
        #expect(try archive()?.images(architecture: "amd64").first?.names.isEmpty == true)
    }

    @Test(
        "what is wrong is told",
        arguments: [
            (#"[{"Config":"c.json","Layers":["111/layer.tar"]}]"#, "1 layers"),
            (#"[{"Config":"no.json","Layers":[]}]"#, "no.json"),
            (#"[{"Config":"c.json","Layers":["111/layer.tar","222"]}]"#, "no file"),
            (#"[{"Config":"c.json","Layers":["111/layer.tar","../../etc/passwd"]}]"#, "passwd"),
            (#"[{"Config":"111/layer.tar","Layers":[]}]"#, "JSON"),
        ])
    func wrong(manifest: String, word: String) throws {
        try write(manifest: manifest)
        let error = #expect(throws: OCIError.self) { try archive()?.images(architecture: "amd64") }
        #expect("\(error, default: "")".contains(word))
    }

    @Test("a link that leads out of the archive, or in a circle, leads to nothing")
    func links() throws {
        for target in ["../../../../etc/passwd", "layer.tar"] {
            try write()
            try FileManager.default.removeItem(atPath: scratch.appending("a/222/layer.tar"))
            try FileManager.default.createSymbolicLink(
                atPath: scratch.appending("a/222/layer.tar"), withDestinationPath: target)
            #expect(throws: OCIError.self) { try archive()?.images(architecture: "amd64") }
        }
    }

    @Test("an image for another processor is not taken")
    func otherProcessor() throws {
        try write(architecture: "arm64")
        #expect(throws: OCIError.self) { try archive()?.images(architecture: "amd64") }
        #expect(try archive()?.images(architecture: "arm64").count == 1)
    }

    @Test(
        "files with a manifest.json of somebody else are plain files",
        arguments: ["{}", "[]", "[1]", "x", #"[{"a":1}]"#])
    func somebodyElses(manifest: String) throws {
        try write(manifest: manifest)
        let isArchive = try archive() != nil
        #expect(!isArchive)
    }

    @Test("of several images one is chosen by its name")
    func choosing() throws {
        try write(
            manifest:
                #"[{"Config":"c.json","RepoTags":["a:1"],"Layers":["111/layer.tar","two.tar"]},{"Config":"c.json","RepoTags":["b:1"],"Layers":["111/layer.tar","two.tar"]}]"#
        )
        let archive = try #require(try archive())
        #expect(throws: OCIError.self) { try archive.image(architecture: "amd64", reference: nil) }
        #expect(throws: OCIError.self) { try archive.image(architecture: "amd64", reference: "c:1") }
        #expect(try archive.image(architecture: "amd64", reference: "b:1").names.map(\.text) == ["b:1"])
    }

    @Test("what skopeo writes is read", .enabled(if: hasTool("skopeo") && hasTool("umoci"), "needs skopeo and umoci"))
    func skopeo() throws {
        try shell(
            """
            umoci init --layout l && umoci new --image l:box && echo hello > hello && umoci insert --image l:box hello /hello
            umoci insert --image l:box hello /again
            skopeo copy -q oci:l:box docker-archive:box.tar:example.org/box:3
            mkdir a && tar xf box.tar -C a
            """, in: scratch.path)
        let image = try #require(try archive()?.images(architecture: "amd64").first)
        #expect(image.names.map(\.text) == ["example.org/box:3"])
        #expect(image.image.layers.count == 2)
    }
}
