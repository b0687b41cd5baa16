public import LinuxCalls

/// Why nothing is run, in the original's words where it has some.
public enum JailerFault: Error, Equatable, Sendable, CustomStringConvertible {
    // The command line.
    case unexpected(String)
    case repeated(String)
    case missing(String)
    case missingValue(String)
    // What it says.
    case identifierLength(Int)
    case identifierCharacter(String, position: Int)
    case notFound(String, LinuxError)
    case notFile(String)
    case programName(String)
    case user(String)
    case group(String)
    case parentGroup
    case groupFormat(String)
    case groupFile(String)
    case controllerUnavailable(String)
    case noHierarchy
    case limitFormat(String)
    case limitResource(String)
    case limitValue(String, isEmpty: Bool)
    // What the host refuses.
    case host(doing: String, LinuxError)

    /// Whether the command line cannot be read at all.
    public var isMisuse: Bool {
        switch self {
        case .unexpected, .repeated, .missing, .missingValue: true
        default: false
        }
    }

    public var description: String {
        switch self {
        case .unexpected(let name): "Found argument '\(name)' which wasn't expected, or isn't valid in this context."
        case .repeated(let name): "The argument '\(name)' was provided more than once."
        case .missing(let name): "Argument '\(name)' required, but not found."
        case .missingValue(let name): "The argument '\(name)' requires a value, but none was supplied."
        case .identifierLength(let count):
            "Invalid instance ID: Invalid len (\(count));  the length must be between 1 and 64"
        case .identifierCharacter(let character, let position):
            "Invalid instance ID: Invalid char (\(character)) at position \(position)"
        case .notFound(let path, let error): "Failed to canonicalize path \(path): \(Self.words(error))"
        case .notFile(let path): "\(path) is not a file"
        case .programName(let name):
            "Invalid filename. The filename of `--exec-file` option must contain \"firecracker\": \(name)"
        case .user(let value): "Invalid uid: \(value)"
        case .group(let value): "Invalid gid: \(value)"
        case .parentGroup: "Parent cgroup path is invalid. Path should not be absolute or contain '..' or '.'"
        case .groupFormat(let value): "Invalid format for cgroups: \(value)"
        case .groupFile(let value): "Cgroup invalid file: \(value)"
        case .controllerUnavailable(let name): "Controller \(name) is unavailable"
        case .noHierarchy: "Hierarchy not found: No hierarchy found for this cgroup version."
        case .limitFormat(let value): "Invalid format for resources limits: \(value)"
        case .limitResource(let value): "Invalid resource argument: \(value)"
        case .limitValue(let value, let isEmpty):
            "Invalid limit value for resource: \(value): "
                + (isEmpty ? "cannot parse integer from empty string" : "invalid digit found in string")
        case .host(let step, let error): "Failed to \(step): \(Self.words(error))"
        }
    }

    /// As the original's library says it: `No such file or directory (os error 2)`.
    private static func words(_ error: LinuxError) -> String {
        var text = Array((error.words ?? "error").description.utf8)
        if let first = text.first, (0x61...0x7a).contains(first) { text[0] = first - 0x20 }
        return String(decoding: text, as: UTF8.self) + " (os error \(error.number))"
    }
}
