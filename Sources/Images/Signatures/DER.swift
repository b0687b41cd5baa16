/// The few structures of P-256 that are read and written here, each in its one form.
///
/// Strict: what DER allows to be said in one way only is taken in that way only. Why not by the library: design/0041.
/// Trust: none in the bytes.
enum DER {
    /// Source: RFC 5480 §2: the algorithm 1.2.840.10045.2.1 on the curve 1.2.840.10045.3.1.7, then a bit string of 65 bytes.
    private static let publicKeyPrefix: [UInt8] = [
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
        0xce,
        0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
    ]

    /// Source: RFC 5208 §5, RFC 5915 §3: the same algorithm and curve, then a private key of 32 bytes.
    private static let pkcs8Prefix: [UInt8] = [
        0x30, 0x81, 0x87, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
        0x08,
        0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x6d, 0x30, 0x6b, 0x02, 0x01, 0x01, 0x04, 0x20,
    ]
    /// Between the private number and the public key of 65 bytes.
    private static let pkcs8Middle: [UInt8] = [0xa1, 0x44, 0x03, 0x42, 0x00]

    /// Source: RFC 5915 §3, with the curve.
    private static let sec1Prefix: [UInt8] = [0x30, 0x77, 0x02, 0x01, 0x01, 0x04, 0x20]
    private static let sec1Middle: [UInt8] =
        [0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07] + pkcs8Middle

    /// The 65 bytes of an uncompressed point; nil for any other key.
    static func p256Point(_ der: [UInt8]) -> [UInt8]? {
        guard der.starts(with: publicKeyPrefix), der.count == publicKeyPrefix.count + 65 else { return nil }
        return [UInt8](der[publicKeyPrefix.count...])
    }

    static func p256PublicKey(_ point: [UInt8]) -> [UInt8] { publicKeyPrefix + point }

    /// The 32 bytes of a private key; nil for any other.
    static func p256PrivateNumber(_ der: [UInt8], label: String) -> [UInt8]? {
        let (prefix, middle) = label == "PRIVATE KEY" ? (pkcs8Prefix, pkcs8Middle) : (sec1Prefix, sec1Middle)
        guard label == "PRIVATE KEY" || label == "EC PRIVATE KEY", der.count == prefix.count + 32 + middle.count + 65,
            der.starts(with: prefix), der[(prefix.count + 32)...].starts(with: middle)
        else { return nil }
        return [UInt8](der[prefix.count..<prefix.count + 32])
    }

    /// The two numbers of a signature, 32 bytes each; nil for what is none.
    /// Source: RFC 3279 §2.2.3: a sequence of two integers.
    static func p256Signature(_ der: [UInt8]) -> [UInt8]? {
        // At most 70 bytes in it, so that a length is one byte.
        guard der.count >= 2, der[0] == 0x30, Int(der[1]) == der.count - 2, der.count <= 72 else { return nil }
        var rest = der[2...]
        guard let first = integer(&rest), let second = integer(&rest), rest.isEmpty else { return nil }
        return first + second
    }

    private static func integer(_ rest: inout ArraySlice<UInt8>) -> [UInt8]? {
        guard rest.popFirst() == 0x02, let length = rest.popFirst(), (1...33).contains(length),
            rest.count >= Int(length)
        else { return nil }
        var bytes = rest.prefix(Int(length))
        rest = rest.dropFirst(Int(length))
        guard let first = bytes.first, first < 0x80 else { return nil }
        if first == 0, bytes.count > 1 {
            bytes = bytes.dropFirst()
            // Only where the number would be negative without it.
            guard let next = bytes.first, next >= 0x80 else { return nil }
        }
        guard bytes.count <= 32 else { return nil }
        return [UInt8](repeating: 0, count: 32 - bytes.count) + bytes
    }

    static func p256Signature(numbers: [UInt8]) -> [UInt8] {
        var content: [UInt8] = []
        for number in [numbers.prefix(32), numbers.dropFirst(32)] {
            var bytes = number.drop { $0 == 0 }
            if bytes.first.map({ $0 >= 0x80 }) ?? true { bytes = [0] + bytes }
            content += [0x02, UInt8(truncatingIfNeeded: bytes.count)] + bytes
        }
        return [0x30, UInt8(truncatingIfNeeded: content.count)] + content
    }
}
