public import AgentProtocol
import LinuxCalls

/// How a session came to its end.
public enum SessionEnd: Equatable, Sendable {
    case exited(ExitStatus)
    /// The time limit was over; the command has been told, and may or may not have ended.
    case timedOut
    /// Somebody insisted: the third interrupt, or `endNow`.
    case ended(signal: Int32)
    /// The machine is gone, or the agent is, without an exit status.
    case machineEnded
}

/// One command in a guest, from its start, or from its adoption, to its exit status, with its streams carried to and from this process.
///
/// One thread per stream moves bytes with blocking calls; the thread that calls `run` waits for everything else.
public final class ProcessSession {
    /// `silenceAfterExit` of a machine in the emulated host, where streams and exit status come over several ways, each of which may stand
    /// still for seconds.
    public static let emulatedSilenceAfterExit = Duration.seconds(10)
    /// How long a command has after SIGTERM when its time is over.
    private static let graceAfterTimeoutMilliseconds: UInt64 = 2000
    private static let interruptsUntilEnd = 3

    private let control: AgentConnection
    private let request: HostMessage
    private let streams: Start.Streams
    private let streamOrigin: Start.StreamOrigin
    private let token: Token
    private let id: UInt32
    private let output: any OutputSink
    private let finished: SharedEvent

    /// Its bytes become the command's standard input, or the terminal's.
    public var input: Int32?
    /// The same in the place of `input`, closed by whoever reads from it last.
    public var ownedInput: FileDescriptor?
    public var signals: SignalWatcher?
    /// Asked at SIGWINCH.
    public var terminalSize: () -> TerminalSize? = { nil }
    /// Becomes readable when the machine is gone.
    public var machineExit: Int32 = -1
    /// What becomes readable when there is news of the machine, and what is done then, by the thread that calls `run`.
    public var news: (descriptor: Int32, take: () -> Void)?
    /// Where the agent dials, with `Start.streamOrigin == .agent`.
    public var listener: (any SocketListener)?
    /// Where this side dials, with `Start.streamOrigin == .host`.
    public var endpoint: (any AgentEndpoint)?
    /// How long the command may run; counted from its start.
    public var timeLimit: Duration?
    /// How long the agent may take to say that the command runs.
    public var startPatience = Duration.seconds(240)
    /// Over this much silence after the exit, a stream that some other process still holds is given up.
    public var silenceAfterExit = Duration.seconds(1)
    /// What the command gets when `SignalWatcher.stop` comes.
    public var stopSignal = UInt8(SignalNumber.terminate)
    public var whenStarted: () -> Void = {}
    /// Whether the machine's programs are held and go on with this one: `release` follows without waiting.
    public var releasesPrograms = false
    /// Whether signals that ask for the end are no matter of the command's: the session ends with the first.
    public var endsBySignal = false
    /// Whether `SignalWatcher.stop` has come.
    public private(set) var wasStopped = false

    private var pumps: [OutputPump] = []
    private var attached: [ProcessStream] = []
    private var waitingStreams = WaitingStreams()
    private var interrupts = 0
    private var limit = Deadline.never
    private var hasStarted = false
    private var isTimedOut = false

    public convenience init(
        _ start: Start, id: UInt32 = 1, over control: AgentConnection, output: any OutputSink
    ) throws(AgentClientError) {
        try self.init(
            .start(start), (start.streams, start.streamOrigin, start.token), id: id, over: control, output: output)
    }

    /// A session with a process that runs already: in a clone, or since before its connection ended.
    /// - Parameter id: the number that it was started with.
    public convenience init(
        adopting adoption: Adoption, id: UInt32 = 1, over control: AgentConnection, output: any OutputSink
    ) throws(AgentClientError) {
        try self.init(
            .adopt(adoption), (adoption.streams, adoption.streamOrigin, adoption.token), id: id, over: control,
            output: output)
    }

    private init(
        _ request: HostMessage, _ carried: (Start.Streams, Start.StreamOrigin, Token), id: UInt32,
        over control: AgentConnection, output: any OutputSink
    ) throws(AgentClientError) {
        self.request = request
        (streams, streamOrigin, token) = carried
        self.id = id
        self.control = control
        self.output = output
        do throws(LinuxError) { finished = try SharedEvent() } catch {
            throw AgentClientError(.gone, "cannot make an event file: \(error)")
        }
    }

    /// Starts or adopts the command and stays with it to the end.
    /// - Throws: `refused` with the agent's failure when the command does not start, or is not there.
    public func run() throws(AgentClientError) -> SessionEnd {
        let startDeadline = Deadline(after: startPatience)
        try control.send(request, id: id)
        if releasesPrograms { try control.send(.release, id: id ^ 0x8000_0000) }
        if streamOrigin == .host, let endpoint {
            for stream in streams.attached {
                let opening = Opening.Kind.stream(stream, process: id, token: token)
                try attach(stream, try endpoint.open(opening, until: startDeadline))
            }
        }
        while true {
            if let end = try handlePendingFrames() { return end }
            if limit.isOver {
                if isTimedOut { return .timedOut }
                isTimedOut = true
                try? control.send(.signal(Signal(15, reachesGroup: true)), id: id)
                limit = Deadline(afterMilliseconds: Self.graceAfterTimeoutMilliseconds)
            }
            let isMissing = attached.count < streams.attached.count
            let listening = isMissing ? (listener?.descriptors ?? []) + waitingStreams.descriptors : []
            var entries = [
                PollEntry(reading: control.socket.number), PollEntry(reading: signals?.descriptor ?? -1),
                PollEntry(reading: machineExit), PollEntry(reading: news?.descriptor ?? -1),
            ]
            entries += listening.map { PollEntry(reading: $0) }
            guard wait(for: &entries, until: hasStarted ? limit : startDeadline) > 0 else {
                if !hasStarted, startDeadline.isOver {
                    throw AgentClientError(
                        .silent, "the agent did not say within \(startPatience) that the program runs")
                }
                continue
            }
            if entries[1].isReady, let end = handleSignals() { return end }
            if entries[3].isReady { news?.take() }
            if entries[4...].contains(where: \.isReady) { try acceptStreams() }
            if entries[0].isReady {
                guard try control.fill() else { return isTimedOut ? .timedOut : .machineEnded }
            } else if entries[2].isReady {
                return isTimedOut ? .timedOut : .machineEnded
            }
        }
    }

    private func handlePendingFrames() throws(AgentClientError) -> SessionEnd? {
        while let frame = try control.receivePending() {
            switch frame.message {
            case .started where frame.id == id:
                hasStarted = true
                if let timeLimit { limit = Deadline(after: timeLimit) }
                whenStarted()
            case .exited(let status) where frame.id == id:
                try waitForStreams()
                return isTimedOut ? .timedOut : .exited(status)
            // A signal or a size for a command that has just ended is no failure of the session.
            case .failure(let failure) where frame.id != id || !hasStarted: throw AgentClientError(failure)
            default: break
            }
        }
        return nil
    }

    /// - Returns: the end, if somebody insists on one.
    private func handleSignals() -> SessionEnd? {
        while let signal = signals?.next() {
            switch signal {
            case SignalWatcher.endNow: return .ended(signal: SignalNumber.kill)
            case SignalWatcher.stop:
                wasStopped = true
                if !hasStarted { return .ended(signal: SignalNumber.terminate) }
                try? control.send(.signal(Signal(stopSignal, reachesGroup: false)), id: id)
            case _ where endsBySignal && SignalWatcher.asksForTheEnd(signal): return .ended(signal: signal)
            case SignalNumber.windowChange:
                if case .terminal = streams, let size = terminalSize() {
                    try? control.send(.resize(size), id: id)
                }
            case SignalNumber.interrupt:
                interrupts += 1
                if interrupts >= Self.interruptsUntilEnd || !hasStarted { return .ended(signal: signal) }
                try? control.send(.signal(Signal(2, reachesGroup: true)), id: id)
            default:
                if !hasStarted, signal != SignalNumber.user1 { return .ended(signal: signal) }
                try? control.send(
                    .signal(Signal(UInt8(truncatingIfNeeded: signal), reachesGroup: signal == SignalNumber.quit)),
                    id: id)
            }
        }
        return nil
    }

    /// Takes the connections that the agent opened for this command's streams; others are closed.
    ///
    /// Trust: the guest may connect as often as it likes. Only a stream with the right token is attached, and each once.
    private func acceptStreams() throws(AgentClientError) {
        while let connection = try listener?.accept() { waitingStreams.add(AgentSocket(connection)) }
        for (opening, socket) in waitingStreams.take() {
            guard case .stream(let stream, process: id, let shown) = opening.kind, shown.matches(token),
                streams.attached.contains(stream), !attached.contains(stream)
            else { continue }
            try attach(stream, socket)
        }
    }

    private func attach(_ stream: ProcessStream, _ socket: AgentSocket) throws(AgentClientError) {
        attached.append(stream)
        do throws(LinuxError) {
            if stream == .standardInput || stream == .terminal {
                if let owned = ownedInput.take() {
                    try startInputPump(from: owned.release(), isOwned: true, to: socket)
                } else if let input {
                    try startInputPump(from: input, to: socket)
                } else if stream == .standardInput {
                    socket.finishSending()
                }
            }
            if stream != .standardInput {
                pumps.append(try OutputPump(socket, stream, to: output, finished: finished))
            }
        } catch {
            throw AgentClientError(.gone, "cannot start a thread for a stream: \(error)")
        }
    }

    /// Waits until every output has come to its end, or is held by a process that says nothing.
    private func waitForStreams() throws(AgentClientError) {
        let outputs = streams.attached.filter { $0 != .standardInput }.count
        let begin = Clock.monotonic.nanoseconds()
        let longestSilence = UInt64(max(silenceAfterExit, .zero) / .nanoseconds(1))
        while true {
            let missing = pumps.count < outputs
            if missing, listener != nil { try acceptStreams() }
            let open = pumps.filter { !$0.hasEnded }
            if open.isEmpty, pumps.count >= outputs { return }
            let now = Clock.monotonic.nanoseconds()
            let sinceExit = now > begin ? now - begin : 0
            let idle = open.map(\.idleNanoseconds).min() ?? sinceExit
            let isComing = missing && !waitingStreams.isEmpty
            if !isComing, min(idle, sinceExit) > longestSilence { return }
            var entries = [
                PollEntry(reading: finished.descriptor), PollEntry(reading: signals?.descriptor ?? -1),
                PollEntry(reading: machineExit),
            ]
            wait(for: &entries, until: Deadline(afterMilliseconds: missing ? 5 : 50))
            if entries[0].isReady { finished.drain() }
            if entries[1].isReady, handleSignals() != nil { return }
        }
    }
}
