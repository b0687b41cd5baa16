public import CodedErrors

/// Why a registry did not give or take something, in words for a person and a code for a program.
public struct RegistryError: CodedError {
    public enum Code: String, Sendable {
        /// A text that is no image's name.
        case invalidReference = "registry.invalid-reference"
        /// A setting, such as a mirror or a file of certificates, that cannot be used.
        case invalidSetting = "registry.invalid-setting"
        /// No credentials, or wrong ones.
        case unauthorized = "registry.unauthorized"
        /// The credentials are right and do not suffice.
        case denied = "registry.denied"
        /// The registry has no such repository, tag or blob, or does not show it to this user.
        case notFound = "registry.not-found"
        /// Too many requests; the registry's own words are in the message.
        case rateLimited = "registry.rate-limited"
        /// What answers is no registry: a web page, for example.
        case notRegistry = "registry.not-a-registry"
        /// An answer that the protocol does not allow.
        case invalidAnswer = "registry.invalid-answer"
        /// An answer, or a document, larger than anything sensible.
        case tooLarge = "registry.too-large"
        /// Content whose digest or length is not the one that was asked for.
        case wrongContent = "registry.wrong-content"
        /// Content that ended too early, again and again.
        case truncated = "registry.truncated"
        /// The registry's certificate is not signed by anybody trusted here, or is for another host.
        case untrustedCertificate = "registry.untrusted-certificate"
        /// Plain HTTP to a host that is not this machine.
        case insecure = "registry.insecure"
        /// No such host, nobody listens there, or the connection breaks.
        case unreachable = "registry.unreachable"
        /// No answer, or no further bytes, in time.
        case timedOut = "registry.timed-out"
        /// The registry says that the fault is its own.
        case serverFault = "registry.server-fault"
        /// The registry refuses what was sent.
        case refused = "registry.refused"
        /// The file of credentials, or the program that keeps them, cannot be used.
        case unusableCredentials = "registry.unusable-credentials"
        /// The disk that takes the content is full.
        case diskFull = "registry.disk-full"
        /// A file here that cannot be read or written.
        case unusableFile = "registry.unusable-file"
        /// The task that asked was cancelled.
        case cancelled = "registry.cancelled"
    }

    public let code: Code
    public let message: String
    /// Whether the same request may well succeed later.
    public let isTransient: Bool
    /// How long the registry wants to be left alone.
    public let retryAfter: Duration?

    public init(_ code: Code, _ message: String, isTransient: Bool = false, retryAfter: Duration? = nil) {
        self.code = code
        self.message = message
        self.isTransient = isTransient
        self.retryAfter = retryAfter
    }

    /// The same error, not to be tried again.
    var final: RegistryError { RegistryError(code, message) }
}
