import Archives
import ImageFixtures
import Testing

@testable import Signatures

@Suite struct SignaturePolicyTests {
    static let keys: [(name: String, key: SigningKey)] = ["a", "b", "c"].map { name in
        // Ed25519 keys of 32 bytes that are all the same. Source: RFC 8410 §7.
        let der: [UInt8] =
            [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20]
            + [UInt8](repeating: name.utf8.first ?? 0, count: 32)
        guard let key = try? SigningKey(pem: PEM.encode(der, label: "PRIVATE KEY")) else { preconditionFailure() }
        return (name, key)
    }
    let image = SHA256.digest(of: [1])

    private func policy(_ rules: String) throws -> SignaturePolicy {
        try SignaturePolicy(parsing: Array(#"{"rules": [\#(rules)]}"#.utf8)) { file throws(SignatureError) in
            guard let key = Self.keys.first(where: { $0.name == file }) else {
                throw SignatureError(.invalidKey, "there is no file \(file)")
            }
            return key.key.verifyingKey.pem
        }
    }

    private func signature(_ name: String, _ repository: String, _ digest: SHA256Digest? = nil) throws -> ImageSignature
    {
        let key = try #require(Self.keys.first { $0.name == name })
        return try ImageSignature(of: digest ?? image, in: repository, by: key.key)
    }

    private func refusal(
        _ policy: SignaturePolicy, _ name: String, _ signatures: [ImageSignature] = []
    ) -> SignatureError? {
        do throws(SignatureError) { _ = try policy.judge(image, named: name, signatures: signatures) } catch {
            return error
        }
        return nil
    }

    static let a = #"{"names": ["reg.example/acme/*"], "keys": [{"name": "A", "file": "a"}]}"#
    static let two =
        #"{"names": ["reg.example/acme/*"], "at-least": 2, "keys": [{"name": "A", "file": "a"}, {"name": "B", "file": "b"}]}"#

    @Test func `an image that a trusted key signed is accepted`() throws {
        let policy = try policy(Self.a)
        #expect(
            try policy.judge(
                image, named: "reg.example/acme/fw:1.2", signatures: [signature("a", "reg.example/acme/fw")])
                == .signed(by: ["A"]))
        // Whatever else lies beside it.
        let others = [
            ImageSignature(payload: [], signature: []), try signature("c", "reg.example/acme/fw"),
            try signature("a", "reg.example/acme/fw:1.2"),
        ]
        #expect(
            try policy.judge(image, named: "reg.example/acme/fw@\(image)", signatures: others) == .signed(by: ["A"]))
    }

    @Test func `others are refused, and why is said`() throws {
        let policy = try policy(Self.a)
        let name = "reg.example/acme/fw"
        #expect(refusal(policy, name)?.code == .missing)
        #expect(refusal(policy, "reg.example/other/fw")?.code == .refusedByPolicy)
        #expect(refusal(policy, name, [try signature("c", name)])?.code == .untrusted)
        let another = refusal(policy, name, [try signature("a", name, SHA256.digest(of: [2]))])
        #expect(another?.message.contains("A signed another image") == true)
        let renamed = refusal(policy, name, [try signature("a", "reg.example/acme/sniffer")])
        #expect(renamed?.message.contains("A signed it as reg.example/acme/sniffer") == true)
        var changed = try signature("a", name)
        changed = ImageSignature(payload: changed.payload + [32], signature: changed.signature)
        #expect(refusal(policy, name, [changed])?.code == .untrusted)
        let key = try #require(Self.keys.first)
        let foreign = ImageSignature(payload: [1, 2], signature: try key.key.signature(of: [1, 2]))
        #expect(refusal(policy, name, [foreign])?.message.contains("A signed something else") == true)
    }

    @Test func `as many must have signed as the rule says, each once`() throws {
        let policy = try policy(Self.two)
        let name = "reg.example/acme/fw"
        let a = try signature("a", name)
        #expect(refusal(policy, name, [a, a, a])?.message.contains("A signed it") == true)
        #expect(
            try policy.judge(image, named: name, signatures: [a, signature("b", name)]) == .signed(by: ["A", "B"]))
    }

    @Test func `a copy counts where the rule knows where it is from`() throws {
        let rule = Self.a.replacing(#""keys""#, with: #""identities": ["build.example/fw"], "keys""#)
        let policy = try policy(rule)
        let copied = try signature("a", "build.example/fw:latest")
        #expect(try policy.judge(image, named: "reg.example/acme/fw", signatures: [copied]) == .signed(by: ["A"]))
    }

    @Test func `the rule counts that names the repository most closely`() throws {
        let policy = try policy(
            """
            {"names": ["*"], "unsigned": "refuse"}, {"names": ["localhost:5000/*", "busybox"], "unsigned": "accept"},
            \(Self.a), {"names": ["reg.example/acme/bad"], "unsigned": "refuse"}
            """)
        #expect(try policy.judge(image, named: "localhost:5000/x/y:1", signatures: []) == .unsignedAllowed)
        #expect(try policy.judge(image, named: "docker.io/library/busybox", signatures: []) == .unsignedAllowed)
        #expect(refusal(policy, "busybox2")?.code == .refusedByPolicy)
        #expect(refusal(policy, "reg.example/acme/bad")?.code == .refusedByPolicy)
        #expect(refusal(policy, "reg.example/acmex/fw")?.code == .refusedByPolicy)
        #expect(policy.wantsSignatures(of: "reg.example/acme/fw") && !policy.wantsSignatures(of: "busybox"))
    }

    @Test(arguments: [
        ("busybox", "docker.io/library/busybox"), ("busybox:1.2", "docker.io/library/busybox"),
        ("acme/fw", "docker.io/acme/fw"), ("index.docker.io/library/busybox:1", "docker.io/library/busybox"),
        ("index.docker.io/acme/fw", "docker.io/acme/fw"), ("localhost/x", "localhost/x"),
        ("localhost:5000/x:1", "localhost:5000/x"), ("REG.example/x@sha256:00", "reg.example/x"),
        ("reg.example/a/b:1@sha256:00", "reg.example/a/b"), ("", "docker.io/library/"), (":", "docker.io/library/"),
    ])
    func `repositories have one form`(text: String, repository: String) {
        #expect(SimpleSigningPayload.repository(of: text) == repository)
    }

    @Test(arguments: [
        "", "{}", #"{"names": []}"#, #"{"names": ["a*b"], "unsigned": "accept"}"#, #"{"names": ["a"]}"#,
        #"{"names": ["a"], "unsigned": "maybe"}"#, #"{"names": ["a"], "unsigned": "accept", "at-least": 1}"#,
        #"{"names": ["a"], "unsigned": "accept", "keys": [{"name": "A", "file": "a"}]}"#,
        #"{"names": ["a"], "keys": [{"name": "A", "file": "a"}], "at-least": 2}"#,
        #"{"names": ["a"], "keys": [{"name": "A", "file": "a"}, {"name": "B", "file": "a"}]}"#,
        #"{"names": ["a"], "keys": [{"name": "A", "file": "nothing"}]}"#,
        #"{"names": ["a"], "keys": [{"name": "A", "file": "a", "pem": "x"}]}"#,
        #"{"names": ["a"], "keys": [{"name": "A", "pem": "x"}]}"#, #"{"names": ["a"], "unsigned": "accept", "x": 1}"#,
    ])
    func `a policy that makes no sense is refused as a whole`(rules: String) {
        #expect { _ = try policy(rules) } throws: { ($0 as? SignatureError)?.code == .invalidPolicy }
    }

    @Test(arguments: [
        "", "{}", "[]", #"{"critical": {}}"#,
        #"{"critical":{"identity":{"docker-reference":"a"},"image":{"docker-manifest-digest":"md5:1"},"type":"cosign container image signature"}}"#,
        #"{"critical":{"identity":{"docker-reference":"a"},"image":{"docker-manifest-digest":"sha256:87ef60f558bad79beea6425a3b28989f01dd417164150ab3baab98dcbf04def8"},"type":"atomic container signature"}}"#,
        #"{"critical":{"identity":{"docker-reference":"a"},"image":{"docker-manifest-digest":"sha256:87ef60f558bad79beea6425a3b28989f01dd417164150ab3baab98dcbf04def8"},"type":"cosign container image signature","until":1}}"#,
    ])
    func `what is no claim about an image is refused`(text: String) {
        #expect { _ = try SimpleSigningPayload(parsing: Array(text.utf8)) } throws: {
            ($0 as? SignatureError)?.code == .malformed
        }
    }

    @Test func `signatures are written as they are read`() throws {
        let signatures = [try signature("a", "reg.example/acme/fw"), try signature("b", "x\"y\\z")]
        let document = SignatureManifest.document(of: signatures)
        let read = try SignatureManifest(parsing: document.manifest)
        #expect(read.entries.map(\.signature) == signatures.map(\.signature))
        #expect(read.entries.map(\.payloadDigest) == signatures.map { SHA256.digest(of: $0.payload) })
        #expect(try SimpleSigningPayload(parsing: signatures[1].payload).reference == "x\"y\\z")
        #expect(SignatureManifest.tag(of: image) == "sha256-\(image.hex).sig")
        #expect(throws: SignatureError.self) { _ = try SignatureManifest(parsing: [1]) }
        let broken = String(decoding: document.manifest, as: UTF8.self).replacing("cosignproject", with: "x")
        #expect(throws: SignatureError.self) { _ = try SignatureManifest(parsing: Array(broken.utf8)) }
    }
}
