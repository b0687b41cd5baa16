public import CodedErrors

/// Why something is no appliance.
public struct ApplianceError: CodedError {
    public enum Code: String, Sendable {
        /// An image of another kind.
        case notAppliance = "appliance.not-an-appliance"
        /// Its manifest or description is wrong, with the field and the reason.
        case invalid = "appliance.invalid"
    }

    public let code: Code
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
}
