import Archives
import HostFiles
import ImageFixtures
import ImageStore
import ImageTransfer
import OCIImages
import Signatures
import Testing

/// Signatures that came with an image, and what a policy says by them later.
@Suite struct KeptSignaturesTests {
    let scratch: ScratchFolder
    let store: ImageStore
    let image: StoredImage
    let key: SigningKey
    let name = "reg.example/acme/fw:1"

    init() throws {
        scratch = try ScratchFolder()
        store = ImageStore(root: scratch.appending("store"))
        var builder = try LayoutBuilder(scratch)
        var tar = TarBytes()
        tar.add("one", [1])
        try builder.add([tar.finished()], program: #"{"Cmd":["/x"]}"#, name: "one")
        _ = try builder.layout()
        let archived = try #require(try store.archivedImages(in: scratch.appending("l")).first)
        image = try store.load(archived, as: [name])
        // 32 bytes that are all the same. Source: RFC 8410 §7.
        key = try SigningKey(
            pem:
                "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIGtra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tr\n-----END PRIVATE KEY-----\n"
        )
    }

    private func policy(_ rule: String) throws -> SignaturePolicy {
        try SignaturePolicy(parsing: Array(#"{"rules": [\#(rule)]}"#.utf8)) { _ throws(SignatureError) in
            key.verifyingKey.pem
        }
    }
    private func wanted() throws -> SignaturePolicy {
        try policy(#"{"names": ["reg.example/acme/*"], "keys": [{"name": "acme", "file": "a"}]}"#)
    }
    private func signature(_ repository: String = "reg.example/acme/fw", of digest: SHA256Digest) throws
        -> ImageSignature
    {
        try ImageSignature(of: digest, in: repository, by: key)
    }

    @Test func `an image that came without signatures is refused where some are wanted`() throws {
        #expect { try store.judge(image, named: name, by: wanted()) } throws: {
            ($0 as? SignatureError)?.code == .missing
        }
        #expect(
            try store.judge(image, named: name, by: policy(#"{"names": ["*"], "unsigned": "accept"}"#))
                == .unsignedAllowed)
        #expect {
            try store.judge(image, named: name, by: policy(#"{"names": ["*"], "unsigned": "refuse"}"#))
        } throws: {
            ($0 as? SignatureError)?.code == .refusedByPolicy
        }
    }

    @Test func `signatures that came with it count for its names alone`() throws {
        let subject = try #require(image.subject)
        let stored = try store.keep([signature(of: subject)], of: subject, with: image)
        #expect(try store.judge(stored, named: name, by: wanted()) == .signed(by: ["acme"]))
        #expect(try store.judge(store.resolve(name), named: name, by: wanted()) == .signed(by: ["acme"]))
        #expect(throws: SignatureError.self) {
            try store.judge(stored, named: "reg.example/acme/sniffer:1", by: wanted())
        }
    }

    @Test func `those of an index that led to it count, and those of another image do not`() throws {
        let index = SHA256.digest(of: [7])
        let subject = try #require(image.subject)
        var stored = try store.keep([signature(of: SHA256.digest(of: [8]))], of: subject, with: image)
        #expect(throws: SignatureError.self) { try store.judge(stored, named: name, by: wanted()) }
        stored = try store.keep([signature(of: index)], of: index, with: stored)
        #expect(try store.judge(stored, named: name, by: wanted()) == .signed(by: ["acme"]))
        #expect(stored.signatures.map(\.subject) == [subject, index])
    }

    @Test func `they stay when the image is brought in again, survive a prune, and go with the image`() throws {
        let subject = try #require(image.subject)
        let documents = try #require(
            try store.keep([signature(of: subject)], of: subject, with: image).signatures.first?.documents)
        #expect(documents.count == 2)
        let archived = try #require(try store.archivedImages(in: scratch.appending("l")).first)
        let again = try store.load(archived, as: ["other"])
        #expect(again.signatures.first?.documents == documents)
        #expect(try store.prune(isDryRun: false).files.isEmpty)
        #expect(try store.judge(store.resolve(name), named: name, by: wanted()) == .signed(by: ["acme"]))
        try store.remove(again.digest)
        for document in documents { #expect(!store.blobs.file(document).exists) }
    }

    @Test func `an image keeps the signatures of so many subjects, the newest`() throws {
        var stored = image
        for number in 0..<20 as Range<UInt8> {
            let subject = SHA256.digest(of: [number])
            stored = try store.keep([signature(of: subject)], of: subject, with: stored)
        }
        #expect(stored.signatures.map(\.subject) == (4..<20).map { SHA256.digest(of: [$0]) })
        // The blobs of those that went are leftovers.
        #expect(try store.prune(isDryRun: false).files.count == 8)
    }

    @Test func `a document that is damaged is an error, not an acceptance`() throws {
        let subject = try #require(image.subject)
        let stored = try store.keep([signature(of: subject)], of: subject, with: image)
        let document = try #require(stored.signatures.first?.documents.first)
        try store.blobs.file(document).replaceWhole(Array("{}".utf8))
        #expect(throws: (any Error).self) { try store.judge(stored, named: name, by: wanted()) }
        try store.blobs.file(document).removeFile()
        #expect(throws: (any Error).self) { try store.judge(stored, named: name, by: wanted()) }
    }

    private func saved(signatures: Bool) throws -> ArchivedImage {
        let stored = try store.resolve(name)
        var save = try ImageSave(from: store)
        try save.add(stored, as: name, signatures: signatures ? try store.signatures(of: stored) : [])
        let path = scratch.appending("saved-\(signatures).tar")
        try save.write(.ociArchive, to: .path(HostPath(path)))
        let images = try ImageStore(root: scratch.appending("other")).archivedImages(in: path)
        #expect(images.count == 1)
        return try #require(images.first)
    }

    @Test func `they go along into an archive where that is wanted, and are judged as they come out of it`() throws {
        let subject = try #require(image.subject)
        try store.keep([signature(of: subject)], of: subject, with: image)
        #expect(try saved(signatures: false).signatures.isEmpty)
        let archived = try saved(signatures: true)
        #expect(archived.signatures.map { $0.subject } == [subject])
        #expect(try archived.judge(named: name, by: wanted()) == .signed(by: ["acme"]))
        #expect(throws: SignatureError.self) {
            try archived.judge(named: "reg.example/acme/sniffer:1", by: wanted())
        }
        let other = ImageStore(root: scratch.appending("other"))
        var loaded = try other.load(archived, as: [name])
        for (subject, signatures) in archived.signatures {
            loaded = try other.keep(signatures, of: subject, with: loaded)
        }
        #expect(loaded.digest == image.digest)
        #expect(try other.judge(loaded, named: name, by: wanted()) == .signed(by: ["acme"]))
    }

    @Test func `what an archive calls signatures and is none signs nothing, and is no image`() throws {
        let subject = try #require(image.subject)
        try store.keep([signature(of: subject)], of: subject, with: image)
        let stored = try store.resolve(name)
        for damage in ["manifest", "payload", "nothing", "long"] {
            let folder = scratch.appending("damaged-\(damage)")
            var save = try ImageSave(from: store)
            try save.add(stored, as: name, signatures: try store.signatures(of: stored))
            try save.write(.ociFolder, to: .path(HostPath(folder)))
            let documents = try #require(stored.signatures.first?.documents)
            func blob(_ digest: SHA256Digest) -> HostPath { HostPath("\(folder)/blobs/sha256/\(digest.hex)") }
            switch damage {
            case "manifest": try blob(documents[0]).replaceWhole(Array(#"{"layers": 7}"#.utf8))
            case "payload": try blob(documents[1]).replaceWhole(Array("{}".utf8))
            case "nothing": try blob(documents[0]).removeFile()
            default: try blob(documents[1]).replaceWhole([UInt8](repeating: 0x20, count: 17 << 20))
            }
            let reader = ImageStore(root: scratch.appending("reader"))
            if damage == "long" {
                #expect(throws: ImageError.self) { try reader.archivedImages(in: folder) }
                continue
            }
            let archived = try #require(try reader.archivedImages(in: folder).first)
            #expect(archived.signatures.isEmpty)
            #expect(throws: SignatureError.self) { try archived.judge(named: name, by: wanted()) }
        }
    }
}
