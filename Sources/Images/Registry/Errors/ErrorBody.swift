import FoundationEssentials

/// What a registry says about why it refuses. The bytes are foreign.
///
/// Source: OCI distribution-spec, "Error Codes".
struct ErrorBody: Equatable {
    /// In capitals, as the specification has them: `TOOMANYREQUESTS`.
    let codes: [String]
    /// Printable, and empty where the answer says nothing that a person could read.
    let text: String
    let isWebPage: Bool

    static let maximumBytes = 64 << 10
    private static let maximumErrors = 5
    private static let maximumTextCharacters = 400

    init(_ bytes: [UInt8], contentType: String?) {
        struct Document: Decodable {
            struct Entry: Decodable {
                let code: String?
                let message: String?
            }
            let errors: [Entry]?
            /// As other servers, token servers among them, answer.
            let details: String?
            let message: String?
            let errorDescription: String?
            enum CodingKeys: String, CodingKey {
                case errors, details, message
                case errorDescription = "error_description"
            }
        }
        let document = try? JSONDecoder().decode(Document.self, from: Data(bytes.prefix(Self.maximumBytes)))
        let entries = (document?.errors ?? []).prefix(Self.maximumErrors)
        codes = entries.compactMap(\.code).map { Printable.text($0.uppercased(), limit: 60) }
        isWebPage = Self.isWebPage(bytes, contentType: contentType)
        var texts = entries.map { entry in
            [entry.code.map { $0.lowercased() }, entry.message].compactMap(\.self).joined(separator: ": ")
        }
        if texts.isEmpty {
            texts = [document?.errorDescription, document?.message, document?.details].compactMap(\.self)
        }
        if texts.isEmpty, document == nil, !isWebPage { texts = [String(decoding: bytes.prefix(2048), as: UTF8.self)] }
        text = Printable.text(texts.joined(separator: "; "), limit: Self.maximumTextCharacters)
    }

    /// What a proxy, a login page or a mistyped host answers.
    static func isWebPage(_ bytes: [UInt8], contentType: String?) -> Bool {
        if let contentType, contentType.lowercased().hasPrefix("text/html") { return true }
        let start = bytes.prefix(512).drop { $0 == 0x20 || (0x09...0x0d).contains($0) }
        return start.first == UInt8(ascii: "<")
    }
}
