import AgentProtocol
import LinuxCalls

/// The agent: one thread, one loop, everything that the host asks for.
///
/// Lives as long as the process, so that everything it owns may hold it.
public final class AgentServer: EventHandler {
    static let version: ByteString = "0.1.0"
    private static let maximumWaitingStreams = 64
    private static let maximumOpeningReaders = 64
    static let maximumProcesses = 256

    let loop: EventLoop
    let deadlines: Deadlines
    let scratch = Scratch()
    let transport: Transport
    let role: AgentRole
    let system: GuestSystem
    var openingReaders = 0
    var processes: [GuestProcess] = []
    var configuration: ConfigurationState = .awaited
    var powerOff: PowerOff?
    /// While user programs are held.
    var hold: Hold?
    /// While a clone's own programs hear of it.
    var hooks: CloneHooks?
    /// Where the agent finds a control group of its own, whose programs it can stop; empty for none.
    let controlGroup: ByteString
    var idleSeconds: UInt32 = 0

    private let signals: SignalFile
    private let listener: Handle
    private var secret: Secret?
    private var owners: [any ConnectionOwner] = []
    private var waitingStreams: [(handle: Handle, opening: Opening, deadline: UInt32)] = []
    private var idleDeadline: UInt32?
    var relayListeners: [RelayListener] = []

    enum ConfigurationState { case awaited, done, failed }

    /// All signals must be blocked in the calling thread, which must be the one that calls `run`.
    /// - Parameter controlGroup: the folder of the control group (version 2) that the agent and its programs are in.
    public init(
        _ transport: Transport, _ role: AgentRole, controlGroup: ByteString = "/sys/fs/cgroup"
    ) throws(LinuxError) {
        self.controlGroup = controlGroup
        self.transport = transport
        self.role = role
        system = GuestSystem(role)
        loop = try EventLoop()
        deadlines = try Deadlines(loop)
        signals = try SignalFile(SignalSet(SignalNumber.child, SignalNumber.terminate, SignalNumber.interrupt))
        listener = Handle(try transport.listen())
        _ = try loop.add(signals.descriptor.number, .readable, handler: self, token: 1)
        _ = try loop.add(listener.number, .readable, handler: self, token: 0)
    }

    /// Serves until the machine ends, or, where the agent is not its first process, until it is told to power off.
    public func run() { loop.run() }

    /// Calls the host, which may answer with a configuration and a command at once.
    public func dialHost() {
        dial(Opening(.control)) { handle in
            if let handle { self.serveControl(handle) }
        }
    }

    func dial(_ opening: Opening, _ completion: @escaping (Handle?) -> Void) {
        do throws(LinuxError) {
            _ = Dialer(self, Handle(try transport.dial()), opening: opening.encoded(), completion)
        } catch {
            completion(nil)
        }
    }

    // MARK: connections

    func add(_ owner: any ConnectionOwner) {
        owners.append(owner)
        activityChanged()
    }

    func remove(_ owner: any ConnectionOwner) {
        owners.removeAll { $0 === owner }
        activityChanged()
    }

    var connectionCount: Int { owners.count }

    func pauseStreams() { for owner in owners { owner.pause() } }
    func resumeStreams() { for owner in owners { owner.resume() } }

    public func handleEvent(token: UInt32, readiness: Readiness) {
        if token == 1 {
            while let signal = signals.next() {
                if signal == SignalNumber.child { reap() } else { begin(PowerOff(.restart)) }
            }
            return
        }
        while true {
            do throws(LinuxError) {
                guard let accepted = try StreamSocket.accept(listener.number) else { return }
                let handle = Handle(accepted)
                if openingReaders >= Self.maximumOpeningReaders || !transport.isFromHost(handle.number) {
                    handle.close()
                    continue
                }
                if case .tcp = transport { try? TCPSocket.setNoDelay(handle.number) }
                _ = OpeningReader(self, handle)
            } catch {
                return
            }
        }
    }

    /// A connection from outside has said what it is.
    func opened(_ handle: Handle, _ bytes: [UInt8]) {
        let opening: Opening
        do throws(ProtocolError) {
            opening = try Opening(decoding: bytes)
        } catch {
            // The version is told to whoever may ask; everything else is closed without a word.
            if case .version = error, !transport.needsSecret { refuseVersion(handle) } else { handle.close() }
            return
        }
        if transport.needsSecret {
            if secret == nil, opening.secret != .none, case .control = opening.kind { secret = opening.secret }
            guard let secret, secret.matches(opening.secret) else { return handle.close() }
        }
        switch opening.kind {
        case .control: serveControl(handle)
        case .files: serveFiles(handle)
        case .relay: serveRelay(handle)
        case .stream: attachOrKeep(handle, opening)
        }
    }

    private func refuseVersion(_ handle: Handle) {
        let connection = ControlConnection(self, handle)
        connection.send(
            .failure(
                Failure(
                    .unsupportedVersion, systemError: UInt32(Opening.version),
                    text: "this agent speaks version 1 of the protocol")))
        connection.finish()
    }

    // MARK: streams

    private func attachOrKeep(_ handle: Handle, _ opening: Opening) {
        if attach(handle, opening) { return }
        guard waitingStreams.count < Self.maximumWaitingStreams else { return handle.close() }
        let deadline = deadlines.after(milliseconds: 30_000) {
            self.waitingStreams.removeAll { $0.handle === handle }
            handle.close()
        }
        waitingStreams.append((handle, opening, deadline))
    }

    /// Connections that came before their command.
    func attachWaitingStreams() {
        let waiting = waitingStreams
        waitingStreams = []
        for each in waiting {
            if attach(each.handle, each.opening) {
                deadlines.cancel(each.deadline)
            } else {
                waitingStreams.append(each)
            }
        }
    }

    /// The command that these connections came for does not run.
    func dropWaitingStreams(_ number: UInt32, _ token: Token) {
        let waiting = waitingStreams
        waitingStreams = []
        for each in waiting {
            if case .stream(_, number, let its) = each.opening.kind, its.matches(token) {
                deadlines.cancel(each.deadline)
                each.handle.close()
            } else {
                waitingStreams.append(each)
            }
        }
    }

    /// Puts a connection and a process's stream together. False when there is no such stream (yet).
    @discardableResult
    func attach(_ connection: Handle, _ opening: Opening) -> Bool {
        guard case .stream(let which, let number, let token) = opening.kind else { return false }
        guard let process = processes.first(where: { $0.number == number && $0.token.matches(token) }),
            let stream = process.stream(which)
        else { return false }
        guard let handle = stream.handle else {
            // Its reader was gone before this one came.
            guard process.wasAdopted else { return false }
            connection.close()
            return true
        }
        stream.handle = nil
        let kept = stream.kept
        stream.kept = nil
        let isTerminal = which == .terminal
        let channel = Channel(
            self, near: connection, far: handle, isTerminal ? .terminal : .pipe,
            inbound: isTerminal || which == .standardInput, outbound: which != .standardInput, kept: kept)
        stream.channel = channel
        if process.hasEnded {
            channel.processEnded()
            finishStreams(of: process)
        }
        return true
    }

    // MARK: idleness

    func activityChanged() {
        guard idleSeconds > 0 else { return }
        let isIdle = owners.isEmpty && processes.isEmpty
        if isIdle, idleDeadline == nil {
            idleDeadline = deadlines.after(milliseconds: UInt64(idleSeconds) * 1000) {
                self.begin(PowerOff())
            }
        } else if !isIdle, let deadline = idleDeadline {
            deadlines.cancel(deadline)
            idleDeadline = nil
        }
    }
}
