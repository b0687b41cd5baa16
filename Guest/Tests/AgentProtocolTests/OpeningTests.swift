import Testing

@testable import AgentProtocol

@Suite struct OpeningTests {
    private let kinds: [Opening.Kind] = [
        .control, .files, .relay, .stream(.terminal, process: 0xffff_ffff, token: Token(first: 1, second: .max)),
        .stream(.standardInput, process: 0, token: Token(first: 0, second: 0)),
    ]

    @Test func everyKindSurvivesARoundTrip() throws {
        let secret = try #require(Secret([UInt8](1...32)))
        for kind in kinds {
            let opening = Opening(kind, secret: secret)
            #expect(opening.encoded().count == Opening.byteCount)
            #expect(try Opening(decoding: opening.encoded()) == opening)
        }
    }

    @Test func everyChangedByteIsRefusedOrSurvivesAnotherRound() {
        for kind in kinds {
            let bytes = Opening(kind).encoded()
            for index in bytes.indices {
                for value: UInt8 in [0, 1, 3, 4, 5, 0x7f, 0xff] {
                    var changed = bytes
                    changed[index] = value
                    if let opening = try? Opening(decoding: changed) {
                        #expect((try? Opening(decoding: opening.encoded())) == opening)
                    }
                }
            }
            for count in 0..<bytes.count {
                #expect(throws: ProtocolError.truncated) { try Opening(decoding: Array(bytes[..<count])) }
            }
        }
    }

    @Test func anotherVersionIsToldFromAnotherProtocol() {
        var bytes = Opening(.control).encoded()
        bytes[4] = 2
        #expect(throws: ProtocolError.version(2)) { try Opening(decoding: bytes) }
        bytes[0] = 0x47
        #expect(throws: ProtocolError.notThisProtocol) { try Opening(decoding: bytes) }
    }

    @Test func secretsAndTokensMatchOnlyThemselves() throws {
        let secret = try #require(Secret(hexadecimal: ByteString(String(repeating: "0aF", count: 21) + "9")))
        #expect(secret.matches(secret))
        for index in 0..<Secret.byteCount {
            var other = secret.bytes
            other[index] ^= 0x80
            #expect(!secret.matches(try #require(Secret(other))))
        }
        #expect(!secret.matches(.none))
        #expect(Token(first: 1, second: 2).matches(Token(first: 1, second: 2)))
        #expect(!Token(first: 1, second: 2).matches(Token(first: 1, second: 3)))
        #expect(!Token(first: 1, second: 2).matches(Token(first: 2, second: 2)))
        for bad in ["", "00", String(repeating: "g", count: 64), String(repeating: "0", count: 65)] {
            #expect(Secret(hexadecimal: ByteString(bad)) == nil)
        }
    }
}
