public import WireFormats

/// What is wrong with a configuration: which field, what stood there, and what would do.
public enum ConfigurationError: Error, Equatable, Sendable {
    /// The text is not JSON.
    case syntax(JSONError)
    /// A field that must be there is not.
    case missing(field: String, wanted: String)
    /// A field that nobody knows.
    case unknown(field: String, known: [String])
    /// A field whose value will not do.
    case invalid(field: String, found: String, wanted: String)
}

extension ConfigurationError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .syntax(let error): return "it is not JSON: \(error)"
        case .missing(let field, let wanted): return "\(field): missing; wanted \(wanted)"
        case .unknown(let field, let known):
            var list = ""
            for name in known { list += list.isEmpty ? name : ", " + name }
            return "\(field): unknown field; known here: \(list)"
        case .invalid(let field, let found, let wanted): return "\(field): found \(found); wanted \(wanted)"
        }
    }
}
