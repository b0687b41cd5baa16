public import CodedErrors

/// Why an image is not trusted, or a key or policy cannot be used.
public struct SignatureError: CodedError {
    public enum Code: String, Sendable {
        /// A text that is no key of a kind that is known here.
        case invalidKey = "signature.invalid-key"
        /// A signature, or what it signs, that is not of its form.
        case malformed = "signature.malformed"
        /// Nobody has signed the image.
        case missing = "signature.missing"
        /// Nobody has signed it who is trusted with its name, or not enough of them.
        case untrusted = "signature.untrusted"
        /// The policy says that images of this name are not run.
        case refusedByPolicy = "signature.refused-by-policy"
        /// The policy file cannot be used.
        case invalidPolicy = "signature.invalid-policy"
    }

    public let code: Code
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
}
