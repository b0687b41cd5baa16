public import Archives
import FoundationEssentials
import JSONFields
import WireFormats

/// One signature of an image: what is signed, and by what.
public struct ImageSignature: Equatable, Sendable {
    public let payload: [UInt8]
    public let signature: [UInt8]

    public init(payload: [UInt8], signature: [UInt8]) {
        self.payload = payload
        self.signature = signature
    }

    /// Signs an image's digest under the name of its repository.
    public init(of digest: SHA256Digest, in repository: String, by key: SigningKey) throws(SignatureError) {
        payload = SimpleSigningPayload(reference: repository, digest: digest).bytes
        signature = try key.signature(of: payload)
    }
}

/// The signatures of an image as a registry keeps them: a manifest with a layer for each, whose content is what is signed
/// and whose annotation is the signature.
///
/// Source: sigstore/cosign specs/SIGNATURE_SPEC.md, Storage.
public struct SignatureManifest: Equatable, Sendable {
    public struct Entry: Equatable, Sendable {
        public let payloadDigest: SHA256Digest
        public let payloadBytes: UInt64
        public let signature: [UInt8]
    }

    public let entries: [Entry]

    public static let payloadType = "application/vnd.dev.cosign.simplesigning.v1+json"
    static let annotation = "dev.cosignproject.cosign/signature"
    public static let maximumEntries = 64

    /// The tag under which a repository has the signatures of one of its images.
    public static func tag(of digest: SHA256Digest) -> String { "sha256-\(digest.hex).sig" }

    /// Trust: none in the bytes. Layers of other kinds are passed over; more than 64 signatures are an error.
    public init(parsing bytes: [UInt8]) throws(SignatureError) {
        do {
            var manifest = try FieldReader(try JSONParser.parse(bytes))
            var entries: [Entry] = []
            for var layer in try manifest.objects("layers") {
                guard try layer.optionalText("mediaType") == Self.payloadType else { continue }
                guard let digest = SHA256Digest(description: try layer.text("digest")) else {
                    throw layer.fault("digest", "is no SHA-256 digest")
                }
                let size = try layer.integer("size", in: 0...Int64(SimpleSigningPayload.maximumBytes))
                var annotations = try layer.object("annotations")
                guard let signature = PEM.base64(try annotations.text(Self.annotation)), signature.count <= 1024 else {
                    throw annotations.fault(Self.annotation, "is no signature in base64")
                }
                entries.append(
                    Entry(payloadDigest: digest, payloadBytes: UInt64(size), signature: signature))
            }
            guard entries.count <= Self.maximumEntries else {
                throw manifest.fault("layers", "are more than \(Self.maximumEntries) signatures")
            }
            self.entries = entries
        } catch {
            throw SignatureError(.malformed, "the image's signatures are not as cosign keeps them: \(error)")
        }
    }

    /// The manifest for signatures, and the configuration that goes with it; a registry wants each payload as a blob, too.
    public static func document(of signatures: [ImageSignature]) -> (manifest: [UInt8], configuration: [UInt8]) {
        let digests = signatures.map { Archives.SHA256.digest(of: $0.payload) }
        let list = digests.map { "\"\($0)\"" }.joined(separator: ",")
        let configuration = Array(
            (#"{"architecture":"","created":"0001-01-01T00:00:00Z","history":["#
                + signatures.map { _ in #"{"created":"0001-01-01T00:00:00Z"}"# }.joined(separator: ",")
                + #"],"os":"","rootfs":{"type":"layers","diff_ids":[\#(list)]},"config":{}}"#).utf8)
        let layers = zip(signatures, digests).map { signature, digest in
            #"{"mediaType":"\#(payloadType)","size":\#(signature.payload.count),"digest":"\#(digest)","#
                + #""annotations":{"\#(annotation)":"\#(Data(signature.signature).base64EncodedString())"}}"#
        }
        let manifest =
            #"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","#
            + #""config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":\#(configuration.count),"#
            + #""digest":"\#(Archives.SHA256.digest(of: configuration))"},"layers":[\#(layers.joined(separator: ","))]}"#
        return (Array(manifest.utf8), configuration)
    }
}
