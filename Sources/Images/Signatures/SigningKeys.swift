public import Archives
import Crypto
import FoundationEssentials

/// A key that verifies: Ed25519, or ECDSA on P-256 with SHA-256.
public struct VerifyingKey: Sendable, Hashable, CustomStringConvertible {
    private enum Kind: Sendable {
        case ed25519(Curve25519.Signing.PublicKey)
        case p256(P256.Signing.PublicKey)
    }

    private let kind: Kind
    /// The key as it is written down. Source: RFC 5280 §4.1, SubjectPublicKeyInfo.
    public let der: [UInt8]

    /// Source: RFC 8410 §4: the algorithm 1.3.101.112, then a bit string of 32 bytes.
    private static let ed25519Prefix: [UInt8] = [
        0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
    ]

    /// Reads what `openssl pkey -pubout` and `cosign generate-key-pair` write.
    public init(pem text: String) throws(SignatureError) {
        guard let (label, der) = PEM.decode(text), label == "PUBLIC KEY" else {
            throw SignatureError(
                .invalidKey,
                "this is no public key: it must be one PEM block that begins with -----BEGIN PUBLIC KEY-----")
        }
        try self.init(der: der)
    }

    public init(der: [UInt8]) throws(SignatureError) {
        if der.starts(with: Self.ed25519Prefix), der.count == Self.ed25519Prefix.count + 32,
            let key = try? Curve25519.Signing.PublicKey(rawRepresentation: der.dropFirst(Self.ed25519Prefix.count))
        {
            kind = .ed25519(key)
        } else if let point = DER.p256Point(der), let key = try? P256.Signing.PublicKey(x963Representation: point) {
            kind = .p256(key)
        } else {
            throw SignatureError(
                .invalidKey, "this public key is neither Ed25519 nor ECDSA on P-256; no other is known here")
        }
        self.der = der
    }

    fileprivate init(_ key: Curve25519.Signing.PublicKey) {
        kind = .ed25519(key)
        der = Self.ed25519Prefix + Array(key.rawRepresentation)
    }

    fileprivate init(_ key: P256.Signing.PublicKey) {
        kind = .p256(key)
        der = DER.p256PublicKey(Array(key.x963Representation))
    }

    /// What the key is called where it has no name: the SHA-256 of its DER form.
    public var fingerprint: Archives.SHA256Digest { Archives.SHA256.digest(of: der) }
    public var description: String { fingerprint.description }
    public var pem: String { PEM.encode(der, label: "PUBLIC KEY") }

    /// Whether the holder of this key signed the message.
    ///
    /// Trust: none in either; a signature of any form and length is answered.
    public func verifies(_ signature: [UInt8], of message: [UInt8]) -> Bool {
        switch kind {
        case .ed25519(let key): return signature.count == 64 && key.isValidSignature(signature, for: message)
        case .p256(let key):
            guard let numbers = DER.p256Signature(signature),
                let signature = try? P256.Signing.ECDSASignature(rawRepresentation: numbers)
            else { return false }
            return key.isValidSignature(signature, for: message)
        }
    }

    public static func == (left: VerifyingKey, right: VerifyingKey) -> Bool { left.der == right.der }
    public func hash(into hasher: inout Hasher) { hasher.combine(der) }
}

/// A key that signs.
public struct SigningKey: Sendable {
    private enum Kind: Sendable {
        case ed25519(Curve25519.Signing.PrivateKey)
        case p256(P256.Signing.PrivateKey)
    }

    private let kind: Kind

    /// Source: RFC 8410 §7: version 0, the algorithm, an octet string within an octet string of 32 bytes.
    private static let ed25519Prefix: [UInt8] = [
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
    ]

    /// Reads what `openssl genpkey` writes, for Ed25519 and for P-256.
    public init(pem text: String) throws(SignatureError) {
        guard let (label, der) = PEM.decode(text) else {
            throw SignatureError(.invalidKey, "this is no private key: it must be one PEM block")
        }
        guard !label.contains("ENCRYPTED") else {
            throw SignatureError(
                .invalidKey,
                "this private key is encrypted; decrypt it first, as `openssl pkey` does, into a file that only you can read"
            )
        }
        if label == "PRIVATE KEY", der.starts(with: Self.ed25519Prefix), der.count == Self.ed25519Prefix.count + 32,
            let key = try? Curve25519.Signing.PrivateKey(rawRepresentation: der.dropFirst(Self.ed25519Prefix.count))
        {
            kind = .ed25519(key)
        } else if let number = DER.p256PrivateNumber(der, label: label),
            let key = try? P256.Signing.PrivateKey(rawRepresentation: number)
        {
            kind = .p256(key)
        } else {
            throw SignatureError(
                .invalidKey, "this private key is neither Ed25519 nor ECDSA on P-256; no other is known here")
        }
    }

    public var verifyingKey: VerifyingKey {
        switch kind {
        case .ed25519(let key): VerifyingKey(key.publicKey)
        case .p256(let key): VerifyingKey(key.publicKey)
        }
    }

    public func signature(of message: [UInt8]) throws(SignatureError) -> [UInt8] {
        do {
            switch kind {
            case .ed25519(let key): return Array(try key.signature(for: message))
            case .p256(let key):
                return DER.p256Signature(numbers: Array(try key.signature(for: message).rawRepresentation))
            }
        } catch {
            throw SignatureError(.invalidKey, "this private key does not sign: \(error)")
        }
    }
}
