/// What proves to a registry who asks.
public enum Credential: Equatable, Sendable {
    case password(user: String, password: String)
    /// Exchanged for tokens at the registry's token server (OAuth 2's refresh token).
    case identityToken(String)
    /// Sent as it is.
    case registryToken(String)
}

extension Credential: CustomStringConvertible, CustomDebugStringConvertible {
    /// Never the secret.
    public var description: String {
        switch self {
        case .password(let user, _): "the password of \(Printable.text(user, limit: 80))"
        case .identityToken: "an identity token"
        case .registryToken: "a registry token"
        }
    }

    public var debugDescription: String { description }
}
