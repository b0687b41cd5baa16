/// What a command line in Firecracker's way asks for.
public struct FirecrackerInvocation: Equatable, Sendable {
    /// What to do at once, instead of serving.
    public enum Errand: Equatable, Sendable { case help, version, snapshotVersion, describeSnapshot(String) }

    public var errand: Errand?
    public var socketPath = "/run/firecracker.socket"
    public var identifier = "anonymous-instance"
    public var configurationPath: String?
    public var servesAPI = true
    public var hasBootTimer = false
    public var logPath: String?
    public var level: LogLevel?
    public var showsLevel = false
    public var showsOrigin = false
    public var metadataPath: String?
    public var metadataLimitBytes: Int?
    public var metricsPath: String?
    public var maximumBodyBytes = 51_200
    public var startMicroseconds: UInt64?
    public var startProcessorMicroseconds: UInt64?
    public var parentProcessorMicroseconds: UInt64?
    public var isFiltered = true
    /// A socket over which whoever records system calls gets each thread's listener.
    public var recorder: Int32?

    /// What an option takes.
    private enum Argument { case none, text, number, refused }

    private static let options: [(name: String, argument: Argument, help: String)] = [
        ("api-sock", .text, "Path of the Unix socket of the API [default: /run/firecracker.socket]"),
        ("boot-timer", .none, "Log how long the guest took to say that it has booted"),
        ("config-file", .text, "Path of a file with the machine's configuration as JSON"),
        ("describe-snapshot", .text, "Print the version of the format of a snapshot's state file"),
        ("enable-pci", .none, "Taken, and without effect: devices are found by the command line or ACPI"),
        ("help", .none, "Print this"),
        ("http-api-max-payload-size", .number, "Longest body of a request, in bytes [default: 51200]"),
        ("id", .text, "The machine's name: letters, digits and hyphens, at most 64 [default: anonymous-instance]"),
        ("level", .text, "Gravity from which on lines are logged: Off, Error, Warning, Info, Debug, Trace"),
        ("log-path", .text, "Path of a file or FIFO for the log; standard output otherwise"),
        ("metadata", .text, "Path of a file with metadata for the guest as JSON"),
        ("metrics-path", .text, "Path of a file or FIFO for the metrics"),
        ("mmds-size-limit", .number, "Most bytes of metadata [default: as http-api-max-payload-size]"),
        ("module", .text, "Taken, and without effect: there are no modules to filter by"),
        ("no-api", .none, "Serve no API; needs config-file"),
        ("no-seccomp", .none, "Do not filter the threads' system calls"),
        ("parent-cpu-time-us", .number, "Processor time that the parent has used, for the metrics"),
        ("record-seccomp", .number, "For tests: filter nothing, hand each thread's listener to that socket"),
        ("seccomp-filter", .refused, "The filters are part of the program; see no-seccomp"),
        ("show-level", .none, "Show the level in the log"),
        ("show-log-origin", .none, "Show the part of the program in the log"),
        ("snapshot-version", .none, "Print the version of snapshots"),
        ("start-time-cpu-us", .number, "Processor time at the start of the process, for the metrics"),
        ("start-time-us", .number, "Time at the start of the process, for the metrics"),
        ("version", .none, "Print the version"),
    ]

    public static var helpText: String {
        var text = "Runs one microVM on KVM, with Firecracker's command line and API.\n\noptional arguments:\n"
        for option in options {
            let name = option.argument == .none ? "--\(option.name)" : "--\(option.name) <\(option.name)>"
            let gap = String(repeating: " ", count: max(1, 58 - name.utf8.count))
            text += "  \(name)\(gap)\(option.help)\n"
        }
        return text
    }

    /// - Parameter arguments: without the program's name.
    public init(_ arguments: ArraySlice<String>) throws(InvocationFault) {
        var rest = arguments
        var seen: [String] = []
        while let argument = rest.popFirst() {
            // What follows is not for the monitor.
            if argument == "--" { break }
            var name = argument == "-h" ? "help" : argument
            if name != "help" {
                guard name.utf8.starts(with: "--".utf8) else { throw .unexpected(argument) }
                name = String(decoding: name.utf8.dropFirst(2), as: UTF8.self)
            }
            guard let option = Self.options.first(where: { $0.name == name }) else { throw .unexpected(name) }
            if seen.contains(name) { throw .repeated(name) }
            seen.append(name)
            var value = ""
            if option.argument != .none {
                guard let next = rest.popFirst(), !next.utf8.starts(with: "--".utf8) else { throw .missingValue(name) }
                value = next
            }
            if option.argument == .refused { throw .refused(name, option.help) }
            try set(name, value)
        }
        // A question is answered whatever else stands there.
        if errand == nil, !servesAPI, configurationPath == nil { throw .missing("config-file") }
    }

    private mutating func set(_ name: String, _ value: String) throws(InvocationFault) {
        switch name {
        case "help": errand = .help
        case "version": if errand == nil { errand = .version }
        case "snapshot-version": if errand == nil { errand = .snapshotVersion }
        case "describe-snapshot": if errand == nil { errand = .describeSnapshot(value) }
        case "api-sock": socketPath = value
        case "boot-timer": hasBootTimer = true
        case "config-file": configurationPath = value
        case "id":
            try Self.checkIdentifier(value)
            identifier = value
        case "level":
            guard let level = LogLevel(name: value) else { throw .invalidLevel(value) }
            self.level = level
        case "log-path": logPath = value
        case "metadata": metadataPath = value
        case "metrics-path": metricsPath = value
        case "no-api": servesAPI = false
        case "no-seccomp": isFiltered = false
        case "record-seccomp": recorder = Int32(truncatingIfNeeded: try Self.bytes(name, value))
        case "show-level": showsLevel = true
        case "show-log-origin": showsOrigin = true
        case "http-api-max-payload-size": maximumBodyBytes = try Self.bytes(name, value)
        case "mmds-size-limit": metadataLimitBytes = try Self.bytes(name, value)
        case "start-time-us": startMicroseconds = try Self.number(name, value)
        case "start-time-cpu-us": startProcessorMicroseconds = try Self.number(name, value)
        case "parent-cpu-time-us": parentProcessorMicroseconds = try Self.number(name, value)
        default: break
        }
    }

    private static func number(_ name: String, _ value: String) throws(InvocationFault) -> UInt64 {
        guard let number = UInt64(value) else { throw .invalidNumber(name, value) }
        return number
    }

    /// At most what the parser of JSON reads.
    private static func bytes(_ name: String, _ value: String) throws(InvocationFault) -> Int {
        guard let number = Int(value), number >= 0, number <= 1 << 20 else { throw .invalidNumber(name, value) }
        return number
    }

    private static func checkIdentifier(_ value: String) throws(InvocationFault) {
        let isGood = value.utf8.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d: true
            default: false
            }
        }
        guard isGood, (1...64).contains(value.utf8.count) else { throw .invalidIdentifier(value) }
    }
}

/// What is wrong with such a command line, in the original's words where it has some.
public enum InvocationFault: Error, Equatable, Sendable, CustomStringConvertible {
    case unexpected(String)
    case repeated(String)
    case missing(String)
    case missingValue(String)
    case refused(String, String)
    case invalidLevel(String)
    case invalidNumber(String, String)
    case invalidIdentifier(String)

    public var description: String {
        let more = " \n\nFor more information try --help."
        return switch self {
        case .unexpected(let name):
            "Arguments parsing error: Found argument '\(name)' which wasn't expected, or isn't valid in this context.\(more)"
        case .repeated(let name):
            "Arguments parsing error: The argument '\(name)' was provided more than once.\(more)"
        case .missing(let name): "Arguments parsing error: Argument '\(name)' required, but not found.\(more)"
        case .missingValue(let name):
            "Arguments parsing error: The argument '\(name)' requires a value, but none was supplied.\(more)"
        case .refused(let name, let reason): "Arguments parsing error: The argument '\(name)' is not served: \(reason)"
        case .invalidLevel(let value):
            "Invalid value for logger level: Failed to parse string to level filter: \(value).Possible values: [Error, Warning, Info, Debug]"
        case .invalidNumber(let name, let value):
            "Arguments parsing error: '\(name)' wants a number (of bytes: at most 1048576), and is '\(value)'.\(more)"
        case .invalidIdentifier(let value):
            "Invalid instance ID: '\(value)' (wanted: 1 to 64 letters, digits and hyphens)"
        }
    }

    /// What the program exits with. Source: Firecracker's own numbers.
    public var exitStatus: Int32 {
        switch self {
        case .invalidLevel: 152
        case .invalidIdentifier: 1
        default: 153
        }
    }
}
