import WireFormats

/// Why a request was not carried out.
public struct Failure: Error, Equatable, Sendable {
    /// Stable numbers; a reader takes one that it does not know as `internal`.
    public enum Code: UInt16, Sendable {
        case `internal` = 1
        /// The opening's version is not this one's; `systemError` is the version that would do.
        case unsupportedVersion = 2
        case notAuthenticated = 3
        case malformedMessage = 4
        /// A message that is not allowed now, for example a second `configure`.
        case unexpectedMessage = 5
        case tooMany = 6
        case rootFileSystem = 10
        case mount = 11
        case network = 12
        case hostName = 13
        /// The settings floppy cannot be read, or nothing on it counts.
        case settings = 14
        /// A device that was attached is not to be found, or is in use.
        case device = 15
        /// The command is not there: a shell's status 127.
        case commandNotFound = 20
        /// The command is there and does not run: a shell's status 126.
        case commandNotExecutable = 21
        case unknownUser = 22
        case workingDirectory = 23
        case unknownProcess = 24
        case duplicateProcess = 25
        case notATerminal = 26
        /// Not every program stopped in the time given; all go on.
        case notStopped = 27
        case noSuchFile = 30
        case fileSystem = 31
        case unsafePath = 32
        case relay = 40
    }

    public var code: Code
    /// The kernel's error number, or zero.
    public var systemError: UInt32
    /// For people: what, which, why.
    public var text: ByteString

    public init(_ code: Code, systemError: UInt32 = 0, text: ByteString) {
        self.code = code
        self.systemError = systemError
        self.text = text.count > Limits.failureTextBytes ? ByteString(text.bytes[..<Limits.failureTextBytes]) : text
    }

    /// The same with more text.
    public func adding(_ text: ByteString) -> Failure {
        Failure(code, systemError: systemError, text: self.text + text)
    }

    /// The exit status that a shell would give for a command that could not be started.
    public var shellStatus: UInt8 {
        switch code {
        case .commandNotFound: 127
        case .commandNotExecutable: 126
        default: 125
        }
    }

    func encode(into writer: inout LittleEndianWriter) {
        writer.write(code.rawValue)
        writer.write(systemError)
        writer.write(text)
    }

    init(from reader: inout MessageReader) {
        code = Code(rawValue: reader.integer()) ?? .internal
        systemError = reader.integer()
        text = reader.string(.failureText, atMost: Limits.failureTextBytes)
    }
}
