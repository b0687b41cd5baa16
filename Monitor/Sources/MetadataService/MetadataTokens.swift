import LinuxCalls

/// Tokens for version 2 of the service: an end of validity, and a code over it that only this process can make.
///
/// Nothing is kept per token. A machine that goes on elsewhere has another key there, and its guest asks for a new token.
/// Source: SipHash-2-4 with 128 bits (Aumasson, Bernstein 2012).
struct MetadataTokens {
    /// Seconds. Source: Firecracker's and EC2's limit of six hours.
    static let lifetimes: ClosedRange<UInt64> = 1...21_600
    private static let bytes = 24
    /// In the order of their values. Source: RFC 4648 §4.
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    private let key: (UInt64, UInt64)

    init() {
        let random = randomBytes(16)
        key = (Self.word(random[0..<8]), Self.word(random[8..<16]))
    }

    /// - Parameters:
    ///   - seconds: one of `lifetimes`.
    ///   - now: nanoseconds of a clock that only goes forward.
    func make(seconds: UInt64, now: UInt64) -> [UInt8] { token(end: now &+ seconds &* 1_000_000_000) }

    /// Trust: none in the text.
    func accepts(_ text: ArraySlice<UInt8>, now: UInt64) -> Bool {
        guard text.count == Self.bytes / 3 * 4 else { return false }
        // The end stands in the first eight bytes: eleven letters.
        var end: UInt64 = 0
        for (index, letter) in text.prefix(11).enumerated() {
            guard let value = Self.alphabet.firstIndex(of: letter) else { return false }
            end = index < 10 ? end << 6 | UInt64(value) : end << 4 | UInt64(value >> 2)
        }
        guard end.byteSwapped > now else { return false }
        // Without telling by the time it takes how much of it is right.
        var difference: UInt8 = 0
        for (given, right) in zip(text, token(end: end.byteSwapped)) { difference |= given ^ right }
        return difference == 0
    }

    private func token(end: UInt64) -> [UInt8] {
        var raw: [UInt8] = []
        let code = code(end)
        for word in [end, code.0, code.1] {
            for shift in 0..<8 { raw.append(UInt8(truncatingIfNeeded: word >> UInt64(shift * 8))) }
        }
        var text: [UInt8] = []
        for index in stride(from: 0, to: raw.count, by: 3) {
            let three = UInt32(raw[index]) << 16 | UInt32(raw[index + 1]) << 8 | UInt32(raw[index + 2])
            for shift in [18, 12, 6, 0] as [UInt32] { text.append(Self.alphabet[Int(three >> shift & 63)]) }
        }
        return text
    }

    private static func word(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// The code of one word.
    func code(_ word: UInt64) -> (UInt64, UInt64) {
        var v = (
            key.0 ^ 0x736f_6d65_7073_6575, key.1 ^ 0x646f_7261_6e64_6f6d ^ 0xee, key.0 ^ 0x6c79_6765_6e65_7261,
            key.1 ^ 0x7465_6462_7974_6573
        )
        func rotated(_ value: UInt64, _ count: UInt64) -> UInt64 { value << count | value >> (64 - count) }
        func mix(_ rounds: Int) {
            for _ in 0..<rounds {
                v.0 &+= v.1
                v.1 = rotated(v.1, 13) ^ v.0
                v.0 = rotated(v.0, 32)
                v.2 &+= v.3
                v.3 = rotated(v.3, 16) ^ v.2
                v.0 &+= v.3
                v.3 = rotated(v.3, 21) ^ v.0
                v.2 &+= v.1
                v.1 = rotated(v.1, 17) ^ v.2
                v.2 = rotated(v.2, 32)
            }
        }
        // The word, and then the length of eight bytes.
        for word in [word, 8 << 56] {
            v.3 ^= word
            mix(2)
            v.0 ^= word
        }
        v.2 ^= 0xee
        mix(4)
        let first = v.0 ^ v.1 ^ v.2 ^ v.3
        v.1 ^= 0xdd
        mix(4)
        return (first, v.0 ^ v.1 ^ v.2 ^ v.3)
    }
}
