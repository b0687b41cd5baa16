import FoundationEssentials
import JSONValues

/// What a file of credentials says, as Docker and the containers tools write it. Its text is foreign.
///
/// Source: docker-login(1) `config.json`; containers-auth.json(5).
struct AuthFile {
    private var members: [String: JSONValue]

    static let maximumBytes = 1 << 20

    /// Nil for what is no JSON object. An empty file has nothing in it.
    init?(_ bytes: [UInt8]) {
        if bytes.allSatisfy({ $0 == 0x20 || (0x09...0x0d).contains($0) }) {
            members = [:]
        } else if case .object(let members) = JSONValue(bytes) {
            self.members = members
        } else {
            return nil
        }
    }

    var bytes: [UInt8] { JSONValue.object(members).bytes }

    /// What is kept for a registry; for one of its repositories first, where `repository` is given.
    func credential(for registry: String, repository: String?) -> Credential? {
        guard case .object(let entries) = members["auths"] else { return nil }
        var parts = repository.map { $0.split(separator: "/").map(String.init) } ?? []
        while !parts.isEmpty {
            if let entry = entries[([registry] + parts).joined(separator: "/")],
                let credential = Self.credential(entry)
            {
                return credential
            }
            parts.removeLast()
        }
        for key in Self.keys(of: registry) {
            if let entry = entries[key], let credential = Self.credential(entry) { return credential }
        }
        // Old files have whole addresses.
        for (key, entry) in entries.sorted(by: { $0.key < $1.key }) where Self.host(of: key) == registry {
            if let credential = Self.credential(entry) { return credential }
        }
        return nil
    }

    /// The program that keeps a registry's credentials, by the end of its name.
    func helper(for registry: String) -> String? {
        for key in Self.keys(of: registry) {
            if let name = members["credHelpers"]?[key]?.text { return name }
        }
        return members["credsStore"]?.text
    }

    mutating func set(_ credential: Credential?, for registry: String) {
        var entries: [String: JSONValue] = [:]
        if case .object(let old) = members["auths"] { entries = old }
        for key in entries.keys where Self.host(of: key) == registry && !Self.isRepository(key) { entries[key] = nil }
        if let credential { entries[Self.keys(of: registry)[0]] = Self.entry(credential) }
        members["auths"] = entries.isEmpty ? nil : .object(entries)
    }

    /// Under which names a registry is kept; the first is the one that is written.
    static func keys(of registry: String) -> [String] {
        registry == ImageReference.defaultRegistry
            ? ["https://index.docker.io/v1/", "docker.io", "index.docker.io", "registry-1.docker.io"] : [registry]
    }

    /// `https://host:port/v1/` and the like are for `host:port`.
    private static func host(of key: String) -> String {
        var rest = key[...]
        for scheme in ["https://", "http://"] where rest.hasPrefix(scheme) { rest = rest.dropFirst(scheme.count) }
        let host = rest.prefix { $0 != "/" }.lowercased()
        return keys(of: ImageReference.defaultRegistry).contains(host) ? ImageReference.defaultRegistry : host
    }

    /// `host/repository`, which no old key is.
    private static func isRepository(_ key: String) -> Bool { !key.contains("://") && key.contains("/") }

    private static func credential(_ entry: JSONValue) -> Credential? {
        if let token = entry["identitytoken"]?.text { return .identityToken(token) }
        if let token = entry["registrytoken"]?.text { return .registryToken(token) }
        if let auth = entry["auth"]?.text {
            guard let decoded = Data(base64Encoded: auth), let text = String(validating: decoded, as: UTF8.self) else {
                return nil
            }
            guard let colon = text.firstIndex(of: ":"), colon != text.startIndex else { return nil }
            // Old programs end it with a zero byte.
            let password = text[text.index(after: colon)...].prefix { $0 != "\0" }
            return .password(user: String(text[..<colon]), password: String(password))
        }
        if let user = entry["username"]?.text, let password = entry["password"]?.text {
            return .password(user: user, password: password)
        }
        return nil
    }

    private static func entry(_ credential: Credential) -> JSONValue {
        switch credential {
        case .password(let user, let password):
            .object(["auth": .text(Data("\(user):\(password)".utf8).base64EncodedString())])
        case .identityToken(let token): .object(["identitytoken": .text(token)])
        case .registryToken(let token): .object(["registrytoken": .text(token)])
        }
    }
}
