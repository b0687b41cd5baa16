/// What a command line of Firecracker's jailer asks for.
public struct JailerInvocation: Equatable, Sendable {
    /// What to do at once, instead of running a program.
    public enum Errand: Equatable, Sendable { case help, version }

    public var errand: Errand?
    public var identifier = ""
    public var programPath = ""
    /// As they were given; `JailerPlan` reads them.
    public var user = ""
    public var group = ""
    public var parentGroup: String?
    public var groupVersion = "1"
    public var groupSettings: [String] = []
    public var baseFolder = "/srv/jailer"
    public var networkNamespacePath: String?
    public var resourceLimits: [String] = []
    public var isDaemon = false
    public var hasProcessNamespace = false
    /// For the program.
    public var rest: [String] = []

    private enum Kind { case flag, once, many }

    private static let options: [(name: String, kind: Kind, isRequired: Bool, help: String)] = [
        ("exec-file", .once, true, "Path of the program that is jailed; its name must contain \"firecracker\""),
        ("gid", .once, true, "The group as which it runs, a number"),
        ("id", .once, true, "The machine's name: letters, digits and hyphens, at most 64"),
        ("uid", .once, true, "The user as which it runs, a number"),
        (
            "cgroup", .many, false,
            "FILE=VALUE to be written in its control group, such as cpu.shares=10; any number of times"
        ),
        ("cgroup-version", .once, false, "Which control groups: 1 or 2 [default: 1]"),
        ("chroot-base-dir", .once, false, "The folder below which jails are made [default: /srv/jailer]"),
        ("daemonize", .flag, false, "Leave the session and the standard streams"),
        ("help", .flag, false, "Print this"),
        ("netns", .once, false, "Path of the network namespace to run in"),
        ("new-pid-ns", .flag, false, "Run it as the first process of a new PID namespace"),
        ("parent-cgroup", .once, false, "The control group below which its own is made [default: the program's name]"),
        ("resource-limit", .many, false, "fsize=BYTES or no-file=COUNT; any number of times [default: no-file=2048]"),
        ("version", .flag, false, "Print the version"),
    ]

    public static var helpText: String {
        var text = ""
        for isRequired in [true, false] {
            text += isRequired ? "required arguments:\n" : "\noptional arguments:\n"
            for option in options where option.isRequired == isRequired {
                let name = option.kind == .flag ? "--\(option.name)" : "--\(option.name) <\(option.name)>"
                text += "  \(name)\(String(repeating: " ", count: max(1, 38 - name.utf8.count)))\(option.help)\n"
            }
        }
        return text + "\nWhat follows -- goes to the program.\n"
    }

    /// - Parameter arguments: without the program's name.
    public init(_ arguments: ArraySlice<String>) throws(JailerFault) {
        var arguments = arguments
        var seen: [String] = []
        // A question is answered whatever else stands there.
        let questions = arguments.prefix { $0 != "--" }
        if questions.contains("--help") || questions.contains("-h") { errand = .help }
        if errand == nil, questions.contains("--version") { errand = .version }
        if errand != nil { return }
        while let argument = arguments.popFirst() {
            if argument == "--" {
                rest = Array(arguments)
                break
            }
            guard argument.utf8.starts(with: "--".utf8) else { throw .unexpected(argument) }
            let name = String(decoding: argument.utf8.dropFirst(2), as: UTF8.self)
            guard let option = Self.options.first(where: { $0.name == name }) else { throw .unexpected(name) }
            if option.kind != .many, seen.contains(name) { throw .repeated(name) }
            seen.append(name)
            if option.kind == .flag {
                if name == "daemonize" { isDaemon = true } else { hasProcessNamespace = true }
                continue
            }
            guard let value = arguments.popFirst(), !value.utf8.starts(with: "--".utf8) else {
                throw .missingValue(name)
            }
            set(name, value)
        }
        for option in Self.options where option.isRequired && !seen.contains(option.name) {
            throw .missing(option.name)
        }
    }

    private mutating func set(_ name: String, _ value: String) {
        switch name {
        case "exec-file": programPath = value
        case "gid": group = value
        case "id": identifier = value
        case "uid": user = value
        case "cgroup": groupSettings.append(value)
        case "cgroup-version": groupVersion = value
        case "chroot-base-dir": baseFolder = value
        case "netns": networkNamespacePath = value
        case "parent-cgroup": parentGroup = value
        default: resourceLimits.append(value)
        }
    }
}
