import Archives
import FoundationEssentials
import HostFiles

/// What the store writes down, as JSON with sorted keys.
enum StoreDocuments {
    static let maximumBytes = 16 << 20

    /// Which name means which image.
    struct Index: Codable {
        var version = 1
        /// Name to the image's digest.
        var names: [String: String] = [:]
    }

    /// What makes an image that image and no other; its digest is the image's.
    struct Identity: Codable {
        let disk: String
        let configuration: ImageConfiguration
        /// Digest of the manifest that a registry gave; images with the same files may have different ones.
        var manifest: String?

        func digest() throws(ImageError) -> SHA256Digest { SHA256.digest(of: try StoreDocuments.encode(self)) }
    }

    /// One image.
    struct Record: Codable {
        var version = 2
        let identity: Identity
        /// The files that the disk is made of, in the order in which they lie there.
        let parts: [DiskPart]
        /// Digests of the layers' tars, for an image that came in layers.
        var layers: [String]?
        let importedSeconds: Int64
        /// Digests of the blobs that the image came as, from the index on; they stay as long as the image does.
        var blobs: [String]?
        /// The signatures that came with it, by what they are of, the newest last; they stay as long as the image does.
        var signatures: [Signed]?
    }

    /// What was signed, a manifest or an index that leads to it, and the digests of the documents that say so.
    struct Signed: Codable {
        let subject: String
        let documents: [String]
    }

    static func encode(_ value: some Encodable) throws(ImageError) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return Array(try encoder.encode(value))
        } catch {
            throw ImageError(.damagedStore, "a document of the store cannot be written: \(error)")
        }
    }

    static func decode<T: Decodable>(_ path: HostPath) throws(ImageError) -> T {
        let bytes: [UInt8]
        do { bytes = try path.readWhole(limit: maximumBytes) } catch { throw ImageError(error, in: .damagedStore) }
        do {
            return try JSONDecoder().decode(T.self, from: Data(bytes))
        } catch {
            throw ImageError(.damagedStore, "\(path) is damaged; remove it and import its images again")
        }
    }
}
