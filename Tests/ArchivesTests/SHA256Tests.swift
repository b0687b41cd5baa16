import Archives
import Testing

@Suite struct SHA256Tests {
    @Test(
        "digests equal the published examples",
        arguments: [
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
            ),
        ])
    func published(text: String, expected: String) {
        #expect(SHA256.digest(of: Array(text.utf8)).hex == expected)
    }

    @Test("a million letters give the published digest, with instructions and without")
    func millionLetters() {
        let expected = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
        for allowsInstructions in [true, false] {
            var hash = SHA256(allowsInstructions: allowsInstructions)
            for _ in 0..<1000 { hash.update([UInt8](repeating: UInt8(ascii: "a"), count: 1000)) }
            #expect(hash.finalize().hex == expected)
        }
    }

    @Test("how the bytes are cut into pieces does not matter, nor which code hashes them")
    func pieces() {
        for length in 0..<200 {
            let bytes = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ length) }
            let whole = SHA256.digest(of: bytes)
            var portable = SHA256(allowsInstructions: false)
            portable.update(bytes)
            #expect(portable.finalize() == whole)
            for cut in stride(from: 0, through: length, by: 13) {
                var hash = SHA256()
                hash.update(bytes.span.extracting(..<cut))
                hash.update(bytes.span.extracting(cut...))
                #expect(hash.finalize() == whole)
            }
        }
    }

    @Test("a digest's text is read back, and nothing else is")
    func text() {
        let digest = SHA256.digest(of: [1, 2, 3])
        #expect(SHA256Digest(hex: digest.hex) == digest)
        #expect(SHA256Digest(description: "\(digest)") == digest)
        #expect(SHA256Digest(hex: digest.hex.uppercased()) == nil)
        #expect(SHA256Digest(hex: digest.hex.dropLast()) == nil)
        #expect(SHA256Digest(description: digest.hex) == nil)
        #expect(SHA256Digest(description: "sha512:" + digest.hex) == nil)
    }
}
