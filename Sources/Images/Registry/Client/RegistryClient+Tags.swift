import FoundationEssentials

extension RegistryClient {
    private static let maximumPageBytes = 4 << 20
    private static let maximumTags = 100_000

    /// The tags of a repository, in the registry's order.
    /// - Parameter reference: its tag and digest mean nothing here.
    public func tags(of reference: ImageReference) async throws(RegistryError) -> [String] {
        try await origin(reference) { endpoint async throws(RegistryError) in
            var tags: [String] = []
            var page = endpoint.base.appending("/v2/\(reference.repository)/tags/list", query: [("n", "1000")])
            var seen: Set<WebAddress> = []
            while seen.insert(page).inserted {
                let (more, next) = try await self.retrying { () async throws(RegistryError) in
                    try await self.page(reference, endpoint, page)
                }
                tags += more
                guard tags.count <= Self.maximumTags else {
                    throw RegistryError(.tooLarge, "\(reference.name) has more than \(Self.maximumTags) tags")
                }
                guard let next, !more.isEmpty else { break }
                page = next
            }
            return tags
        }
    }

    private func page(
        _ reference: ImageReference, _ endpoint: Endpoint, _ address: WebAddress
    ) async throws(RegistryError) -> ([String], next: WebAddress?) {
        struct Document: Decodable { let tags: [String]? }
        let what = "list of tags of \(reference.repository)"
        let call = Call(
            .GET, endpoint, reference.repository, at: address, resources: Self.pull(reference.repository))
        let answer = try await exchange(call, what: what)
        guard answer.status == 200 else { throw await failure(answer, endpoint, what) }
        let bytes = try await transport.bytes(of: answer, limit: Self.maximumPageBytes, what: "a list of tags")
        guard let document = try? JSONDecoder().decode(Document.self, from: Data(bytes)) else {
            if ErrorBody.isWebPage(bytes, contentType: answer.header("Content-Type")) {
                throw Transport.webPage(answer.address.authority)
            }
            throw RegistryError(.invalidAnswer, "what \(answer.address.authority) sends as the \(what) is none")
        }
        let tags = (document.tags ?? []).filter { (try? ImageReference.checkTag($0, in: $0)) != nil }
        guard let next = answer.header("Link").flatMap(Self.next).flatMap({ answer.address.resolving($0) }) else {
            return (tags, nil)
        }
        try transport.check(next, from: address)
        return (tags, next)
    }

    /// The target of `<…>; rel="next"`.
    /// Source: RFC 8288 §3.
    static func next(_ link: String) -> String? {
        for part in link.split(separator: "<").prefix(16) {
            guard let end = part.firstIndex(of: ">") else { continue }
            let parameters = part[end...].lowercased()
            if parameters.contains("rel=\"next\"") || parameters.contains("rel=next") { return String(part[..<end]) }
        }
        return nil
    }
}
