/// Chooses the manifest for a processor out of indexes, which may list indexes.
struct OCIPlatformChoice {
    let architecture: String
    let reader: OCIImageReader

    /// How deep an index may lie in an index.
    static let maximumIndexDepth = 4

    /// What was chosen from the indexes looked into so far, by digest: each is read once, however often it is listed.
    private var chosen: [String: OCIDocuments.Descriptor] = [:]
    private var withoutChoice: Set<String> = []

    init(architecture: String, reader: OCIImageReader) {
        self.architecture = architecture
        self.reader = reader
    }

    mutating func choose(_ candidates: [OCIDocuments.Descriptor]) throws(OCIError) -> OCIDocuments.Descriptor {
        try choose(candidates, depth: 0)
    }

    private mutating func choose(
        _ candidates: [OCIDocuments.Descriptor], depth: Int
    ) throws(OCIError) -> OCIDocuments.Descriptor {
        guard depth < Self.maximumIndexDepth else { throw .invalid("the image's indexes lie too deep in one another") }
        var fitting: [OCIDocuments.Descriptor] = []
        for candidate in candidates {
            if candidate.isIndex {
                if let found = try chooseIfAny(candidate, depth: depth + 1) { fitting.append(found) }
            } else if let platform = candidate.platform {
                if platform.architecture == architecture && platform.os ?? "linux" == "linux" {
                    fitting.append(candidate)
                }
            } else if candidate.annotations?["vnd.docker.reference.type"] == nil {
                fitting.append(candidate)
            }
        }
        guard let first = fitting.first else {
            let platforms = Set(candidates.compactMap { $0.platform?.text }).sorted().joined(separator: ", ")
            throw .noSuchImage(
                "there is no image for linux/\(architecture)" + (platforms.isEmpty ? "" : "; there are: \(platforms)"))
        }
        guard Set(fitting.map(\.digest)).count == 1 || depth > 0 else {
            throw .noSuchImage("there are several images; choose one of: \(OCIDocuments.names(fitting))")
        }
        return first
    }

    /// An index for other processors only is no fault as long as another candidate fits.
    private mutating func chooseIfAny(
        _ candidate: OCIDocuments.Descriptor, depth: Int
    ) throws(OCIError) -> OCIDocuments.Descriptor? {
        if let found = chosen[candidate.digest] { return found }
        if withoutChoice.contains(candidate.digest) { return nil }
        let index: OCIDocuments.Index = try reader.document(candidate, .manifest, "index")
        do {
            let found = try choose(index.manifests, depth: depth)
            chosen[candidate.digest] = found
            return found
        } catch .noSuchImage {
            withoutChoice.insert(candidate.digest)
            return nil
        } catch {
            throw error
        }
    }
}
