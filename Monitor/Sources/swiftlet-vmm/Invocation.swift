import Jail

/// What the command line asks for.
enum Invocation: Equatable {
    case help
    case version
    case snapshot(SnapshotCommand)
    case attach(AttachCommand)
    case run(ConfigurationSource, Confinement.Mode, Enclosing)

    /// Whether the monitor leaves the caller's surroundings, and as whom.
    enum Enclosing: Equatable { case none, asCaller, asUser(UInt32) }

    static let helpText = """
        Runs one microVM on KVM, until its guest powers off, resets or is ended.

        Usage: swiftlet-vmm --config-file FILE --no-api [--user N] [--no-seccomp] [--no-namespaces]
               swiftlet-vmm snapshot merge BASE DIFF... OUT
               swiftlet-vmm snapshot check STATE MEMORY
               swiftlet-vmm snapshot tree MEMORY OUT
               swiftlet-vmm edit-memory rebase --memory-path MEMORY --diff-path DIFF
               swiftlet-vmm attach SOCKET disk PATH rw|ro | descriptor N | tap NAME [ADDRESS/PREFIX] | nothing

          --config-file FILE         the machine, as JSON in the shape of Firecracker's full configuration
          --config-descriptor N      the same, read from descriptor N
          --no-api                   serve no REST API
          --api-sock PATH            be Firecracker: its command line (see --api-sock PATH --help) and its REST API
          --user N                   become that user and group, of no other group, when everything is open (needs root)
          --no-seccomp               do not filter the threads' system calls
          --no-namespaces            stay in the caller's namespaces, in sight of its file system, with its capabilities
          --record-seccomp N         filter nothing: hand each thread's listener to socket N, for tests of the filters
          --version                  print the version
          --help                     print this

        snapshot merge makes one memory file of a full snapshot's and of the differential ones made after it, oldest first; it
        belongs to the state file of the last. edit-memory rebase does so in the full one's own file, as Firecracker's
        snapshot-editor does. snapshot check says whether a machine could be made of the two files here, and of what kind it is.
        snapshot tree writes the hash tree of a full snapshot's memory and prints its root.

        attach sends standard input, a whole HTTP request, to a machine's control socket along with the open file, and copies
        the answer to standard output. A TAP device is made if there is none, and given the address.

        The guest's serial console is standard input and output. SIGTERM, SIGINT and SIGHUP end the machine; SIGPWR
        presses its power button.

        Exit status: 0 the guest powered off or reset, or was ended; 1 the machine could not be built or the host failed;
        2 the guest halted for good; 3 triple fault; 4 KVM internal error; 152 bad configuration; 153 bad arguments.

        """

    /// - Parameter arguments: the program's name first.
    init(arguments: [String]) throws(InvocationError) {
        switch arguments.dropFirst().first {
        case "snapshot":
            self = .snapshot(try SnapshotCommand(arguments: Array(arguments.dropFirst(2))))
            return
        case "attach":
            self = .attach(try AttachCommand(arguments: Array(arguments.dropFirst(2))))
            return
        case "edit-memory":
            self = .snapshot(try SnapshotCommand(arguments: Array(arguments.dropFirst())))
            return
        default: break
        }
        var source: ConfigurationSource?
        var enclosing = Enclosing.asCaller
        var filtering = Confinement.Mode.enforced
        var rest = arguments.dropFirst()
        func value(_ option: String) throws(InvocationError) -> String {
            guard let value = rest.popFirst() else { throw .missingValue(option: option) }
            return value
        }
        func number(_ option: String, atLeast least: Int32, _ wanted: String) throws(InvocationError) -> Int32 {
            let text = try value(option)
            guard let number = Int32(text), number >= least else {
                throw .invalidValue(option: option, found: text, wanted: wanted)
            }
            return number
        }
        func descriptor(_ option: String) throws(InvocationError) -> Int32 {
            try number(option, atLeast: 0, "the number of an open descriptor")
        }
        while let argument = rest.popFirst() {
            switch argument {
            case "--help", "-h":
                self = .help
                return
            case "--version", "-V":
                self = .version
                return
            case "--no-api": break
            case "--no-namespaces": enclosing = .none
            case "--user":
                enclosing = .asUser(UInt32(try number(argument, atLeast: 1, "the number of a user other than root")))
            case "--no-seccomp": filtering = .open
            case "--record-seccomp": filtering = .recorded(try descriptor(argument))
            case "--config-file": source = .file(try value(argument))
            case "--config-descriptor": source = .descriptor(try descriptor(argument))
            default: throw .unknownArgument(argument)
            }
        }
        guard let source else { throw .noConfiguration }
        self = .run(source, filtering, enclosing)
    }
}

/// What is wrong with the command line.
enum InvocationError: Error, Equatable, CustomStringConvertible {
    case unknownArgument(String)
    case missingValue(option: String)
    case invalidValue(option: String, found: String, wanted: String)
    case noConfiguration

    var description: String {
        switch self {
        case .unknownArgument(let argument): "unknown argument \"\(argument)\""
        case .missingValue(let option): "\(option) wants a value"
        case .invalidValue(let option, let found, let wanted): "\(option): found \"\(found)\"; wanted \(wanted)"
        case .noConfiguration: "no machine to run: give --config-file FILE"
        }
    }
}
