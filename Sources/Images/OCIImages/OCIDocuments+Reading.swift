import Archives
import FileTrees
import FoundationEssentials

extension OCIDocuments {
    static func digest(_ text: String) throws(OCIError) -> SHA256Digest {
        guard let digest = SHA256Digest(description: text) else {
            throw .invalid("\"\(text.prefix(100))\" is no SHA-256 digest; no other kind is known here")
        }
        return digest
    }

    static func names(_ descriptors: [Descriptor]) -> String {
        descriptors.prefix(20).map { $0.referenceName ?? $0.digest }.joined(separator: ", ")
    }

    /// - Parameter place: what an error calls it.
    static func read(_ content: FileContent, _ place: String) throws(OCIError) -> [UInt8] {
        guard content.sizeBytes <= maximumBytes else {
            throw .invalid("the image's \(place) has more than \(maximumBytes) bytes")
        }
        do {
            return try ByteReader(FileContentSource(content)).readExactly(Int(content.sizeBytes))
        } catch {
            throw .blob(place, error)
        }
    }

    static func decode<T: Decodable>(_ bytes: [UInt8], _ what: String) throws(OCIError) -> T {
        do {
            return try JSONDecoder().decode(T.self, from: Data(bytes))
        } catch {
            throw .invalid("the image's \(what) is not what the OCI image specification says: \(explain(error))")
        }
    }

    /// Which field of a document is wrong, in few words.
    private static func explain(_ error: any Error) -> String {
        guard let error = error as? DecodingError else { return "it is not JSON" }
        func path(_ context: DecodingError.Context, _ last: (any CodingKey)? = nil) -> String {
            (context.codingPath + (last.map { [$0] } ?? [])).map(\.stringValue).joined(separator: ".")
        }
        switch error {
        case .keyNotFound(let key, let context): return "\(path(context, key)) is missing"
        case .valueNotFound(_, let context): return "\(path(context)) is missing"
        case .typeMismatch(_, let context): return "\(path(context)) has another type"
        case .dataCorrupted(let context):
            return context.codingPath.isEmpty ? "it is not JSON" : "\(path(context)) has an impossible value"
        @unknown default: return "it cannot be read"
        }
    }
}

extension OCIDocuments.Descriptor {
    func checkedDigest() throws(OCIError) -> SHA256Digest { try OCIDocuments.digest(digest) }

    func checkedSize() throws(OCIError) -> UInt64 {
        guard let size = UInt64(exactly: size) else { throw .invalid("a blob of \(size) bytes cannot be") }
        return size
    }
}
