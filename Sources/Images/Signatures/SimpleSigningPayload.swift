public import Archives
import JSONFields
import WireFormats

/// What a signature of an image says: which image, under which name.
///
/// Source: sigstore/cosign specs/SIGNATURE_SPEC.md, containers/image docs/containers-signature.5.md.
public struct SimpleSigningPayload: Equatable, Sendable {
    /// As whoever signed it called the repository, with a tag or digest at times.
    public let reference: String
    /// Of the image's manifest or index.
    public let digest: SHA256Digest

    static let type = "cosign container image signature"
    public static let maximumBytes = 64 << 10

    public init(reference: String, digest: SHA256Digest) {
        self.reference = reference
        self.digest = digest
    }

    /// Trust: none in the bytes, also once their signature is right: what it says is compared with what is wanted.
    /// - Throws: `malformed`. Whatever stands in the critical part and is not known here is an error, as the format demands.
    public init(parsing bytes: [UInt8]) throws(SignatureError) {
        do {
            guard bytes.count <= Self.maximumBytes else { throw FieldFault([], "is too long") }
            var document = try FieldReader(try JSONParser.parse(bytes))
            var critical = try document.object("critical")
            var identity = try critical.object("identity")
            reference = try identity.text("docker-reference")
            try identity.finish()
            var image = try critical.object("image")
            guard let digest = SHA256Digest(description: try image.text("docker-manifest-digest")) else {
                throw image.fault("docker-manifest-digest", "is no SHA-256 digest")
            }
            self.digest = digest
            try image.finish()
            guard try critical.text("type") == Self.type else {
                throw critical.fault("type", "is not \"\(Self.type)\"")
            }
            try critical.finish()
            _ = document.value("optional")
            try document.finish()
        } catch {
            throw SignatureError(.malformed, "what is signed is not the claim about an image: \(error)")
        }
    }

    /// As cosign writes it.
    public var bytes: [UInt8] {
        func quoted(_ text: String) -> String {
            text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
        }
        return Array(
            (#"{"critical":{"identity":{"docker-reference":"\#(quoted(reference))"},"#
                + #""image":{"docker-manifest-digest":"\#(digest)"},"type":"\#(Self.type)"},"optional":null}"#).utf8)
    }

    /// The repository that is meant, in the form in which all others are compared with it: `docker.io/library/busybox`.
    var repository: String { Self.repository(of: reference) }

    static func repository(of reference: String) -> String {
        var name = reference.prefix { $0 != "@" }
        if let slash = name.lastIndex(of: "/") ?? name.indices.first,
            let colon = name[slash...].lastIndex(of: ":")
        {
            name = name[..<colon]
        }
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        guard let first = parts.first, parts.count > 1,
            first.contains(".") || first.contains(":") || first == "localhost"
        else { return "docker.io/" + (parts.count == 1 ? "library/" : "") + name }
        guard ["index.docker.io", "registry-1.docker.io", "docker.io"].contains(first.lowercased()) else {
            return first.lowercased() + name.dropFirst(first.count)
        }
        return "docker.io/" + (parts.count == 2 ? "library/" : "") + parts.dropFirst().joined(separator: "/")
    }
}
