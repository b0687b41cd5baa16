import WireFormats

/// What the host tells the agent.
public enum HostMessage: FramedMessage {
    /// Answered by `configured` or `failure`. `Start` may follow without waiting: it is refused if this one fails.
    case configure(Configuration)
    /// Answered by `started` and later `exited`, or by `failure`. The frame's id becomes the process's number, which must
    /// not be that of a process running on this connection.
    case start(Start)
    /// To the process that the frame's id names; not answered unless it fails.
    case signal(Signal)
    /// The new size of a process's terminal; not answered unless it fails.
    case resize(TerminalSize)
    /// Answered by `fileStatus` or `failure`. A symbolic link is followed.
    case status(path: ByteString)
    /// Ends the guest; not answered, the connection ends.
    case powerOff(PowerOff)
    /// Answered by `pong`.
    case ping
    /// Nanoseconds since 1970 (UTC): the clock is set if it is off by more than 50 ms. Not answered.
    case clock(realTimeNanoseconds: UInt64)
    /// The settings floppy has been written to: its files are made anew. Answered by `configured` or `failure`.
    case settings
    /// User programs stop, so that a snapshot finds none of them at work. Answered by `held` or `failure`.
    case hold(patienceMilliseconds: UInt32)
    /// What was held goes on. Answered by `configured` or `failure`.
    case release
    /// A clone becomes a machine of its own. Answered by `configured` or `failure`.
    case identity(Identity)
    /// The process that ran under the frame's id, in a machine that this one is a clone of or for a connection that is gone,
    /// belongs to this connection. Answered by `started` and later `exited`, or by `failure`.
    case adopt(Adoption)
    /// What runs, from the process after this one on, in the order of their identifiers. Answered by `processes`.
    case processes(after: UInt32)
    /// A device has come: its driver takes it. Answered by `attached` or `failure`.
    case attach(Attachment)
    /// A device is to go: its driver lets go of it. Answered by `configured` or `failure`.
    case detach(Detachment)
    /// The first and only frame on a connection of kind `relay`; answered by `listening`, `connected` or `failure`.
    case relay(Relay)

    public static var payloadLimit: Int { Limits.hostPayloadBytes }

    public var type: UInt16 {
        switch self {
        case .configure: 1
        case .start: 2
        case .signal: 3
        case .resize: 4
        case .status: 5
        case .powerOff: 6
        case .ping: 7
        case .relay: 8
        case .clock: 9
        case .settings: 10
        case .hold: 11
        case .release: 12
        case .identity: 13
        case .adopt: 14
        case .processes: 15
        case .attach: 16
        case .detach: 17
        }
    }

    public func encodePayload(into writer: inout LittleEndianWriter) {
        switch self {
        case .configure(let configuration): configuration.encode(into: &writer)
        case .start(let start): start.encode(into: &writer)
        case .signal(let signal):
            writer.write(signal.number)
            writer.write(UInt8(signal.reachesGroup ? 1 : 0))
        case .resize(let size): size.encode(into: &writer)
        case .status(let path): writer.write(path)
        case .powerOff(let request):
            writer.write(request.mode.rawValue)
            writer.write(request.graceMilliseconds)
        case .ping, .settings, .release: break
        case .hold(let number), .processes(let number): writer.write(number)
        case .identity(let identity): identity.encode(into: &writer)
        case .adopt(let adoption): adoption.encode(into: &writer)
        case .attach(let attachment): attachment.encode(into: &writer)
        case .detach(let detachment): detachment.encode(into: &writer)
        case .clock(let time): writer.write(time)
        case .relay(.dial(let path)):
            writer.write(UInt8(1))
            writer.write(path)
        case .relay(.accept(let path)):
            writer.write(UInt8(2))
            writer.write(path)
        }
    }

    public init(type: UInt16, payload: [UInt8]) throws(ProtocolError) {
        var reader = MessageReader(payload)
        switch type {
        case 1: self = .configure(Configuration(from: &reader))
        case 2: self = .start(Start(from: &reader))
        case 3:
            let number = reader.integer(UInt8.self)
            if !(1...Limits.signal).contains(number) { reader.fail(.outOfBounds(.signal)) }
            self = .signal(Signal(number, reachesGroup: reader.boolean()))
        case 4: self = .resize(TerminalSize(from: &reader))
        case 5: self = .status(path: reader.absolutePath())
        case 6:
            guard let mode = PowerOff.Mode(rawValue: reader.integer()) else { throw .outOfBounds(.powerOffMode) }
            self = .powerOff(PowerOff(mode, graceMilliseconds: reader.integer()))
        case 7: self = .ping
        case 8:
            let kind = reader.integer(UInt8.self)
            if kind != 1, kind != 2 { reader.fail(.outOfBounds(.kind)) }
            let path = reader.absolutePath()
            self = .relay(kind == 1 ? .dial(path: path) : .accept(path: path))
        case 9: self = .clock(realTimeNanoseconds: reader.integer())
        case 10: self = .settings
        case 11: self = .hold(patienceMilliseconds: reader.integer())
        case 12: self = .release
        case 13: self = .identity(Identity(from: &reader))
        case 14: self = .adopt(Adoption(from: &reader))
        case 15: self = .processes(after: reader.integer())
        case 16: self = .attach(Attachment(from: &reader))
        case 17: self = .detach(Detachment(from: &reader))
        default: throw .unknownMessage(type)
        }
        try reader.finish()
    }
}

/// A signal for a process.
public struct Signal: Equatable, Sendable {
    /// 1 to 64, as the guest's architecture numbers them.
    public var number: UInt8
    /// Whether every process of the command's process group gets it, and not the command alone.
    public var reachesGroup: Bool

    public init(_ number: UInt8, reachesGroup: Bool = false) {
        self.number = number
        self.reachesGroup = reachesGroup
    }
}

/// How the guest ends.
public struct PowerOff: Equatable, Sendable {
    public enum Mode: UInt8, Sendable { case powerOff = 0, restart = 1 }

    public var mode: Mode
    /// How long processes have between SIGTERM and SIGKILL; zero kills them at once.
    public var graceMilliseconds: UInt32

    public init(_ mode: Mode = .powerOff, graceMilliseconds: UInt32 = 0) {
        self.mode = mode
        self.graceMilliseconds = graceMilliseconds
    }
}

/// What a relay connection reaches, in the file system that the agent sees.
public enum Relay: Equatable, Sendable {
    /// Connects to the Unix socket at `path`; `connected`, then raw bytes.
    case dial(path: ByteString)
    /// Takes one connection from the Unix socket at `path`, which the first such relay makes and the end of the last one
    /// removes: `listening` at once, `connected` when somebody came, then raw bytes.
    case accept(path: ByteString)
}
