import WireFormats

/// A command to be run, and who carries its streams.
public struct Start: Equatable, Sendable {
    /// Which side opens the connections of the streams.
    public enum StreamOrigin: UInt8, Equatable, Sendable {
        /// The agent dials the host, as it did for the control connection: what takes the fewest round trips at boot.
        case agent = 0
        /// The host connects to the agent, before or after it sends `Start`.
        case host = 1
    }

    /// What the command's descriptors 0, 1 and 2 are.
    public enum Streams: Equatable, Sendable {
        /// Pipes; a stream that is not named is `/dev/null`.
        case pipes(input: Bool, output: Bool, error: Bool)
        /// A terminal of its own, which it controls.
        case terminal(TerminalSize)
    }

    /// The command and its arguments. The first is looked up in the environment's `PATH` unless it holds a slash.
    public var arguments: [ByteString]
    /// `NAME=value`. `PATH`, `HOME`, `HOSTNAME` and, with a terminal, `TERM` are added where they are missing.
    public var environment: [ByteString]
    /// `name`, `number`, `name:group` or `number:number`; empty is user 0.
    public var user: ByteString
    /// Names or numbers of groups besides those that `/etc/group` gives the user.
    public var supplementaryGroups: [ByteString]
    /// Absolute; made if it is missing. Empty is `/`.
    public var workingDirectory: ByteString
    public var streams: Streams
    public var streamOrigin: StreamOrigin
    public var token: Token
    /// Whether the command outlives the control connection; otherwise its process group is hung up, then killed.
    public var outlivesConnection: Bool

    public init(
        arguments: [ByteString], environment: [ByteString] = [], user: ByteString = "",
        supplementaryGroups: [ByteString] = [], workingDirectory: ByteString = "",
        streams: Streams, streamOrigin: StreamOrigin, token: Token, outlivesConnection: Bool = false
    ) {
        self.arguments = arguments
        self.environment = environment
        self.user = user
        self.supplementaryGroups = supplementaryGroups
        self.workingDirectory = workingDirectory
        self.streams = streams
        self.streamOrigin = streamOrigin
        self.token = token
        self.outlivesConnection = outlivesConnection
    }

    /// The streams that get a connection each.
    public var attachedStreams: [ProcessStream] { streams.attached }

    func encode(into writer: inout LittleEndianWriter) {
        writer.writeList(arguments) { $0.write($1) }
        writer.writeList(environment) { $0.write($1) }
        writer.write(user)
        writer.writeList(supplementaryGroups) { $0.write($1) }
        writer.write(workingDirectory)
        streams.encode(into: &writer, streamOrigin, token)
        writer.write(UInt8(outlivesConnection ? 1 : 0))
    }

    init(from reader: inout MessageReader) {
        arguments = reader.list(.arguments, atMost: Limits.arguments) { reader in
            reader.string(.argument, atMost: Limits.argumentBytes)
        }
        if arguments.first?.isEmpty ?? true { reader.fail(.outOfBounds(.arguments)) }
        environment = reader.list(.environment, atMost: Limits.variables) { reader in
            reader.nonEmptyString(.variable, atMost: Limits.argumentBytes)
        }
        user = reader.string(.user, atMost: Limits.userBytes)
        supplementaryGroups = reader.list(.groups, atMost: Limits.groups) { reader in
            reader.nonEmptyString(.groups, atMost: Limits.userBytes)
        }
        workingDirectory = reader.string(.workingDirectory, atMost: Limits.pathBytes)
        if !workingDirectory.isEmpty, !workingDirectory.isAbsolutePath { reader.fail(.outOfBounds(.workingDirectory)) }
        streams = Streams(from: &reader)
        streamOrigin = StreamOrigin(from: &reader)
        token = Token(from: &reader)
        outlivesConnection = reader.boolean()
    }
}

extension Start.Streams {
    /// Those that get a connection each.
    public var attached: [ProcessStream] {
        switch self {
        case .terminal: [.terminal]
        case .pipes(let input, let output, let error):
            (input ? [.standardInput] : []) + (output ? [.standardOutput] : []) + (error ? [.standardError] : [])
        }
    }

    /// With who opens their connections, and what these show.
    func encode(into writer: inout LittleEndianWriter, _ origin: Start.StreamOrigin, _ token: Token) {
        switch self {
        case .pipes(let input, let output, let error):
            writer.write(UInt8((input ? 1 : 0) | (output ? 2 : 0) | (error ? 4 : 0)))
        case .terminal(let size):
            writer.write(UInt8(8))
            size.encode(into: &writer)
        }
        writer.write(origin.rawValue)
        writer.write(token.first)
        writer.write(token.second)
    }

    init(from reader: inout MessageReader) {
        let which = reader.integer(UInt8.self)
        switch which {
        case 8: self = .terminal(TerminalSize(from: &reader))
        default:
            self = .pipes(input: which & 1 != 0, output: which & 2 != 0, error: which & 4 != 0)
            if which > 8 { reader.fail(.outOfBounds(.stream)) }
        }
    }
}

extension Start.StreamOrigin {
    init(from reader: inout MessageReader) {
        let origin = Self(rawValue: reader.integer())
        if origin == nil { reader.fail(.outOfBounds(.streamOrigin)) }
        self = origin ?? .agent
    }
}

extension Token {
    init(from reader: inout MessageReader) { self.init(first: reader.integer(), second: reader.integer()) }
}

/// The size of a terminal. Source: `struct winsize`.
public struct TerminalSize: Equatable, Sendable {
    public var rows: UInt16
    public var columns: UInt16
    public var widthPixels: UInt16
    public var heightPixels: UInt16

    public init(rows: UInt16, columns: UInt16, widthPixels: UInt16 = 0, heightPixels: UInt16 = 0) {
        self.rows = rows
        self.columns = columns
        self.widthPixels = widthPixels
        self.heightPixels = heightPixels
    }

    func encode(into writer: inout LittleEndianWriter) {
        writer.write(rows)
        writer.write(columns)
        writer.write(widthPixels)
        writer.write(heightPixels)
    }

    init(from reader: inout MessageReader) {
        rows = reader.integer()
        columns = reader.integer()
        widthPixels = reader.integer()
        heightPixels = reader.integer()
    }
}
