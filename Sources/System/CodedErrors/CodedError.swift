/// Why something could not be done: words for a person, and a code for a program.
public protocol CodedError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Stable across versions: `part.reason`.
    associatedtype Code: RawRepresentable<String>
    var code: Code { get }
    /// What, which, why and what to do, in lower case.
    var message: String { get }
}

extension CodedError {
    public var description: String { message }
}
