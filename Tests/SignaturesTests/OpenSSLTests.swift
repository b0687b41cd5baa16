import Archives
import ImageFixtures
import Testing

@testable import Signatures

/// OpenSSL as the other side: its keys and signatures are understood, and it understands ours.
@Suite struct OpenSSLTests {
    let scratch: ScratchFolder

    init() throws { scratch = try ScratchFolder() }

    private func text(_ name: String) throws -> String {
        String(decoding: try readFile(scratch.appending(name)), as: UTF8.self)
    }

    private static let makers = [
        "ed25519": "openssl genpkey -algorithm ed25519 -out key; openssl pkey -in key -pubout -out public",
        "p256":
            "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key; openssl pkey -in key -pubout -out public",
        "p256-sec1": "openssl ecparam -name prime256v1 -genkey -noout -out key; openssl ec -in key -pubout -out public",
    ]

    @Test(arguments: ["ed25519", "p256", "p256-sec1"])
    func `what OpenSSL signs is verified, and it verifies what is signed here`(kind: String) throws {
        try shell(try #require(Self.makers[kind]), in: scratch.path)
        let key = try SigningKey(pem: try text("key"))
        let verifying = try VerifyingKey(pem: try text("public"))
        #expect(key.verifyingKey == verifying)
        #expect(try verifying.pem == text("public"))
        #expect(try VerifyingKey(pem: verifying.pem) == verifying)
        let fingerprint = try shell("openssl pkey -pubin -in public -outform DER | sha256sum", in: scratch.path)
        #expect(fingerprint.hasPrefix(verifying.fingerprint.hex))

        for length in [0, 1, 300, 40000] {
            let message = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 7) }
            try scratch.write("message", message)
            // An empty file cannot be mapped, which OpenSSL does for Ed25519.
            if length > 0 || kind != "ed25519" {
                let sign =
                    kind == "ed25519"
                    ? "openssl pkeyutl -sign -inkey key -rawin -in message -out theirs"
                    : "openssl dgst -sha256 -sign key -out theirs message"
                try shell(sign, in: scratch.path)
                let theirs = try readFile(scratch.appending("theirs"))
                #expect(verifying.verifies(theirs, of: message))
                #expect(!verifying.verifies(theirs, of: message + [0]))
                for index in theirs.indices {
                    var wrong = theirs
                    wrong[index] ^= 1
                    #expect(!verifying.verifies(wrong, of: message))
                }
                #expect(!verifying.verifies(Array(theirs.dropLast()), of: message))
                #expect(!verifying.verifies(theirs + [0], of: message))
                try scratch.write("ours", try key.signature(of: message))
                let verify =
                    kind == "ed25519"
                    ? "openssl pkeyutl -verify -pubin -inkey public -rawin -in message -sigfile ours"
                    : "openssl dgst -sha256 -verify public -signature ours message"
                #expect(try run("bash", ["-c", verify], in: scratch.path).status == 0)
            }
        }
        #expect(!verifying.verifies([], of: []))
    }

    @Test(arguments: [
        "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key; openssl pkey -in key -pubout -out public",
        "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out key; openssl pkey -in key -pubout -out public",
        "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1 -out key; openssl pkey -in key -pubout -out public",
        "openssl genpkey -algorithm x25519 -out key; openssl pkey -in key -pubout -out public",
        "openssl genpkey -algorithm ed25519 -aes256 -pass pass:abcd -out key; cp key public",
        "echo nothing > key; cp key public",
    ])
    func `keys of other kinds are refused`(script: String) throws {
        try shell(script, in: scratch.path)
        #expect { _ = try SigningKey(pem: try text("key")) } throws: { ($0 as? SignatureError)?.code == .invalidKey }
        #expect { _ = try VerifyingKey(pem: try text("public")) } throws: {
            ($0 as? SignatureError)?.code == .invalidKey
        }
    }

    /// Made by OpenSSL 3.0 once: keys, a message and its signatures that do not depend on what is installed.
    @Test func `known vectors are right`() throws {
        for vector in signatureVectors {
            let key = try VerifyingKey(pem: vector.key)
            let signature = try #require(PEM.base64(vector.signature))
            #expect(key.verifies(signature, of: Array(vector.payload.utf8)))
            #expect(!key.verifies(signature, of: Array(vector.payload.utf8) + [10]))
            let payload = try SimpleSigningPayload(parsing: Array(vector.payload.utf8))
            #expect(payload.reference == "registry.example/acme/firewall")
        }
    }
}
