import Appliances
import Archives
import Foundation
import HostFiles
import ImageFixtures
import OCIImages
import Testing

@testable import ImageStore

/// Appliances that are built, handed on and brought in.
@Suite struct ApplianceStoreTests {
    let scratch: ScratchFolder
    let store: ImageStore

    init() throws {
        scratch = try ScratchFolder()
        store = ImageStore(root: scratch.appending("store"))
    }

    private static let description = """
        {"name": "web", "version": "1.2", "type": "container", "architecture": "amd64", "least-memory-mib": 40,
         "command": ["/bin/web"], "apply": ["/bin/apply"], "health": {"command": ["/bin/check"], "interval": "2s"}}
        """

    private func image(_ store: ImageStore) throws -> StoredImage {
        var tar = TarBytes()
        tar.add("bin/web", [UInt8](repeating: 7, count: 100_000))
        try Data(tar.finished()).write(to: URL(fileURLWithPath: scratch.appending("root.tar")))
        var settings = ImportSettings()
        settings.overrides.environment = ["A=b"]
        settings.overrides.user = "5"
        return try store.importImage(from: scratch.appending("root.tar"), as: "root", settings: settings)
    }

    private func build(_ store: ImageStore, _ text: String = description, kernel: Bool = true) throws -> StoredImage {
        try Data("a kernel".utf8).write(to: URL(fileURLWithPath: scratch.appending("kernel")))
        return try store.buildAppliance(
            of: try image(store), description: Array(text.utf8),
            kernel: kernel ? ApplianceKernel(path: scratch.appending("kernel"), arguments: "quiet") : nil)
    }

    @Test func `an appliance has all that a machine needs, and is called by its name and version`() throws {
        let built = try build(store)
        #expect(built.names == ["web:1.2"] && built.configuration.entrypoint == ["/bin/web"])
        #expect(built.configuration.environment == ["A=b"] && built.configuration.user == "5")
        #expect(built.configuration.healthCheck?.test == ["CMD", "/bin/check"])
        #expect(built.configuration.healthCheck?.intervalSeconds == 2)
        let root = try store.resolve("root")
        #expect(built.rootHash == root.rootHash && built.dataBlockCount == root.dataBlockCount)
        #expect(built.sizeBytes == root.sizeBytes && built.diskPaths.count == 1)
        #expect(try store.verify(built) == [])
        let appliance = try store.appliance(built)
        #expect(appliance.description.apply == ["/bin/apply"] && appliance.description.kernelArguments == "quiet")
        #expect(try appliance.kernelPath.map { try HostPath($0).readWhole(limit: 99) } == Array("a kernel".utf8))
        #expect(throws: ApplianceError.self) { _ = try store.appliance(root) }
        // The image that it was made of may go.
        try store.remove("root")
        #expect(try store.verify(try store.resolve("web:1.2")) == [])
        #expect(try build(store, kernel: false).digest != built.digest)
    }

    @Test func `the same files, description and kernel make the same bytes`() throws {
        let other = ImageStore(root: scratch.appending("other"))
        let manifests = [try build(store).manifest, try build(other).manifest]
        #expect(manifests[0] == manifests[1])
    }

    @Test func `what is handed on and brought in is the same appliance`() throws {
        let built = try build(store)
        let top = try store.top(of: built)
        #expect(top.blobs.count == 3)
        let layout = scratch.appending("layout")
        try FileManager.default.createDirectory(atPath: layout + "/blobs/sha256", withIntermediateDirectories: true)
        for part in top.blobs {
            try FileManager.default.copyItem(
                atPath: "\(store.blobs.file(part.digest))", toPath: "\(layout)/blobs/sha256/\(part.digest.hex)")
        }
        let manifest = top.document
        try Data(manifest.bytes).write(to: URL(fileURLWithPath: "\(layout)/blobs/sha256/\(manifest.part.digest.hex)"))
        try Data(#"{"imageLayoutVersion":"1.0.0"}"#.utf8).write(to: URL(fileURLWithPath: layout + "/oci-layout"))
        try Data(
            #"{"schemaVersion":2,"manifests":[{"mediaType":"\#(OCIMediaType.manifest)","digest":"\#(manifest.part.digest)","size":\#(manifest.bytes.count)}]}"#
                .utf8
        ).write(to: URL(fileURLWithPath: layout + "/index.json"))
        let other = ImageStore(root: scratch.appending("other"))
        let archived = try #require(try other.archivedImages(in: layout).first)
        let loaded = try other.load(archived, as: ["web"])
        let damage = try other.verify(loaded)
        #expect(loaded.digest == built.digest && damage == [])
        let descriptions = [try other.appliance(loaded).description, try store.appliance(built).description]
        #expect(descriptions[0] == descriptions[1])

        // A disk that is not what its manifest says of it, whoever signed that.
        let text = String(decoding: manifest.bytes, as: UTF8.self)
        let wrong = Array(
            text.replacing(built.rootHash?.hex ?? "?", with: SHA256.digest(of: []).hex, maxReplacements: 1).utf8)
        let digest = SHA256.digest(of: wrong)
        try Data(wrong).write(to: URL(fileURLWithPath: "\(layout)/blobs/sha256/\(digest.hex)"))
        try Data(
            #"{"schemaVersion":2,"manifests":[{"mediaType":"\#(OCIMediaType.manifest)","digest":"\#(digest)","size":\#(wrong.count)}]}"#
                .utf8
        ).write(to: URL(fileURLWithPath: layout + "/index.json"))
        let bad = try #require(try other.archivedImages(in: layout).first)
        #expect { _ = try other.load(bad, as: ["bad"]) } throws: {
            ($0 as? ImageError)?.message.contains("root hash") == true
        }
        #expect(try other.list().map(\.names) == [["web"]])
    }

    @Test(arguments: ["{", "[]", #"{"name": "x"}"#])
    func `a wrong description leaves nothing`(text: String) throws {
        #expect(throws: ApplianceError.self) { _ = try build(store, text) }
        #expect(try store.list().map(\.names) == [["root"]])
    }
}
