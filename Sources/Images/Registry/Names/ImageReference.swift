public import Archives

/// What image is meant, where: a registry, a repository in it, and a tag or a digest or both.
///
/// Source: distribution/reference, "Grammar"; OCI distribution-spec, "Pulling manifests".
public struct ImageReference: Hashable, Sendable {
    /// A host and perhaps a port, in lower case; `docker.io` where a name has none.
    public let registry: String
    public let repository: String
    /// `latest` where a name has neither tag nor digest.
    public let tag: String?
    public let digest: SHA256Digest?

    public static let defaultRegistry = "docker.io"
    public static let defaultTag = "latest"

    init(registry: String, repository: String, tag: String?, digest: SHA256Digest?) {
        self.registry = registry
        self.repository = repository
        self.tag = tag == nil && digest == nil ? Self.defaultTag : tag
        self.digest = digest
    }

    /// `registry/repository`.
    public var name: String { "\(registry)/\(repository)" }

    /// What a registry is asked for: the digest where there is one.
    public var tagOrDigest: String { digest.map(\.description) ?? tag ?? Self.defaultTag }

    /// The same repository's content with exactly this digest; the tag stays for people.
    public func pinned(to digest: SHA256Digest) -> ImageReference {
        ImageReference(registry: registry, repository: repository, tag: tag, digest: digest)
    }

    /// The same repository with another tag and no digest.
    /// - Throws: `.invalidReference`.
    public func tagged(_ tag: String) throws(RegistryError) -> ImageReference {
        try Self.checkTag(tag, in: tag)
        return ImageReference(registry: registry, repository: repository, tag: tag, digest: nil)
    }

    private var suffix: String { (tag.map { ":" + $0 } ?? "") + (digest.map { "@\($0)" } ?? "") }

    /// As short as it can be said: `busybox:latest` for `docker.io/library/busybox:latest`.
    public var shortDescription: String {
        guard registry == Self.defaultRegistry else { return description }
        var parts = repository.split(separator: "/").map(String.init)
        if parts.count == 2, parts[0] == "library" { parts.removeFirst() }
        if parts.count > 1, Self.isRegistry(parts[0]) { return description }
        return parts.joined(separator: "/") + suffix
    }
}

extension ImageReference: CustomStringConvertible {
    /// The canonical form, with everything that is left out when it is typed.
    public var description: String { name + suffix }
}
