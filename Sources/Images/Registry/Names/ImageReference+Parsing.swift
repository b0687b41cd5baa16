import Archives

extension ImageReference {
    /// The longest repository, and the longest text looked at.
    private static let maximumNameBytes = 255
    private static let maximumBytes = 1024

    /// Reads a name as people write it: `busybox`, `ghcr.io/a/b:tag`, `localhost:5000/x@sha256:…`.
    /// - Throws: `.invalidReference`, with the part that is wrong. The text may come from anywhere.
    public init(_ text: String) throws(RegistryError) {
        guard !text.isEmpty else { throw Self.wrong(text, "it is empty") }
        guard text.utf8.count <= Self.maximumBytes else {
            throw Self.wrong(text, "it has \(text.utf8.count) bytes, more than \(Self.maximumBytes)")
        }
        guard text.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
            throw Self.wrong(text, "it has spaces, or characters that are not ASCII")
        }
        guard !text.contains("://") else {
            throw Self.wrong(text, "a name begins with the registry's host, without https://")
        }
        var rest = text[...]
        var digest: SHA256Digest?
        if let at = rest.firstIndex(of: "@") {
            digest = try Self.digest(rest[rest.index(after: at)...], in: text)
            rest = rest[..<at]
        }
        var tag: String?
        let lastPart = rest.lastIndex(of: "/").map { rest.index(after: $0) } ?? rest.startIndex
        // Behind a closing bracket is a port.
        if let colon = rest[lastPart...].lastIndex(of: ":") {
            tag = String(rest[rest.index(after: colon)...])
            try Self.checkTag(tag ?? "", in: text)
            rest = rest[..<colon]
        }
        var registry = Self.defaultRegistry
        if let slash = rest.firstIndex(of: "/"), Self.isRegistry(String(rest[..<slash])) {
            registry = try Self.registry(rest[..<slash], in: text)
            rest = rest[rest.index(after: slash)...]
        }
        try Self.checkRepository(rest, in: text)
        var repository = String(rest)
        if registry == Self.defaultRegistry, !repository.contains("/") {
            guard !Self.isIdentifier(repository) else {
                throw Self.wrong(text, "64 hexadecimal digits alone are a digest; write NAME@sha256:DIGITS")
            }
            repository = "library/" + repository
        }
        self.init(registry: registry, repository: repository, tag: tag, digest: digest)
    }

    /// The host, and perhaps port, of a registry as somebody types it for `login`; never empty.
    /// - Throws: `.invalidReference`.
    public static func registry(_ text: some StringProtocol) throws(RegistryError) -> String {
        try registry(text, in: String(text))
    }

    /// Whether a name says itself which registry it is of.
    public static func namesRegistry(_ text: String) -> Bool {
        text.firstIndex(of: "/").map { isRegistry(String(text[..<$0])) } ?? false
    }

    /// Whether the first part of a name is a registry and not part of the repository.
    static func isRegistry(_ part: String) -> Bool {
        part == "localhost" || part.utf8.contains { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: ":") }
    }

    private static func registry(_ text: some StringProtocol, in whole: String) throws(RegistryError) -> String {
        let lower = text.lowercased()
        guard WebAddress.splitHost(lower) != nil else {
            throw wrong(whole, "\"\(text.prefix(100))\" is no host name with or without a port")
        }
        return ["index.docker.io", "registry-1.docker.io"].contains(lower) ? defaultRegistry : lower
    }

    private static func digest(_ text: Substring, in whole: String) throws(RegistryError) -> SHA256Digest {
        if let digest = SHA256Digest(description: text) { return digest }
        guard text.hasPrefix("sha256:") else {
            throw wrong(whole, "after @ comes sha256: and 64 digits; no other kind of digest is known here")
        }
        throw wrong(whole, "its digest is not 64 lower-case hexadecimal digits")
    }

    /// Source: OCI distribution-spec, "Pulling manifests": `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
    static func checkTag(_ tag: String, in whole: String) throws(RegistryError) {
        let bytes = Array(tag.utf8)
        guard (1...128).contains(bytes.count), let first = bytes.first, isAlphanumeric(first) || first == 0x5f,
            bytes.allSatisfy({ isAlphanumeric($0) || "._-".utf8.contains($0) })
        else {
            throw wrong(whole, "its tag must be 1 to 128 letters, digits and ._-, and begin with none of .-")
        }
    }

    /// Source: OCI distribution-spec: `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*`.
    private static func checkRepository(_ text: Substring, in whole: String) throws(RegistryError) {
        guard text.utf8.count <= maximumNameBytes else {
            throw wrong(whole, "its repository has \(text.utf8.count) bytes, more than \(maximumNameBytes)")
        }
        for part in text.split(separator: "/", omittingEmptySubsequences: false) {
            guard !part.isEmpty else { throw wrong(whole, "a part of it is empty") }
            guard !part.utf8.contains(where: { (0x41...0x5a).contains($0) }) else {
                throw wrong(whole, "\"\(part)\" has upper-case letters; repositories are written in lower case")
            }
            guard isPathComponent(part) else {
                throw wrong(
                    whole,
                    "\"\(part)\" must be lower-case letters and digits, with one of . _ __ - between them")
            }
        }
    }

    private static func isPathComponent(_ part: Substring) -> Bool {
        var separator: [UInt8] = []
        var isFirst = true
        for byte in part.utf8 {
            if isAlphanumeric(byte) {
                let isDashes = separator.allSatisfy { $0 == UInt8(ascii: "-") }
                let isAllowed = separator == [0x2e] || separator == [0x5f] || separator == [0x5f, 0x5f] || isDashes
                if !isAllowed || (isFirst && !separator.isEmpty) { return false }
                separator = []
                isFirst = false
            } else if "._-".utf8.contains(byte) {
                separator.append(byte)
            } else {
                return false
            }
        }
        return separator.isEmpty
    }

    private static func isIdentifier(_ text: String) -> Bool { SHA256Digest(hex: text) != nil }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
    }

    private static func wrong(_ text: String, _ why: String) -> RegistryError {
        RegistryError(.invalidReference, "\"\(Printable.text(text, limit: 120))\" is no image name: \(why)")
    }
}
