public import FabricProtocol
public import LinuxCalls
import WireFormats
import Wiring

/// Answers whoever asks the fabric for something, and looks after what runs in it. On the calling thread, which stays in it.
public final class EngineServer: EventHandler {
    private enum Token {
        static let listener: UInt32 = 0, signals: UInt32 = 1, links: UInt32 = 2, timer: UInt32 = 3,
            probes: UInt32 = 4, packets: UInt32 = 5, names: UInt32 = 6
        /// The first of those who wait for appliances.
        static let waiting: UInt32 = 16
    }
    /// How often is looked whether what somebody waits for is ready.
    private static let lookingNanoseconds: UInt64 = 4_000_000
    private static let mostWaiting = 64
    private static let patienceMilliseconds: UInt64 = 5000
    /// How long one that nobody has plugged anything into stays, for who has started it and is about to.
    public static let idleNanoseconds: UInt64 = 5_000_000_000
    /// So many machines may be started at once.
    private static let backlog = 1024

    private let engine: Engine
    private let loop: EventLoop
    private let listener: FileDescriptor
    private let signals: SignalFile
    private let events: LinkEvents
    private let timer: TimerFile
    private var isDone = false
    /// Nil where nobody waits for these.
    private var routedProbes: Int32?
    /// Whether the last request was for a change.
    private var wasChange = false
    private var waiting: [WaitingClient] = []
    private var nextWaiting = Token.waiting
    /// When it ends unless there is a port by then.
    private var idleUntil: UInt64?
    /// Whether the fabric is to be no more, and not only this process.
    public var wasEnded: Bool { isDone }

    private let idleNanoseconds: UInt64

    /// All signals must be blocked.
    public init(
        _ engine: Engine, _ folder: EngineFolder, idleNanoseconds: UInt64 = EngineServer.idleNanoseconds
    ) throws(FabricFault) {
        self.engine = engine
        self.idleNanoseconds = idleNanoseconds
        do throws(LinuxError) {
            try removeFile(folder.socket)
            listener = try UnixSocket.listen(folder.socket, backlog: Self.backlog)
            signals = try SignalFile(SignalSet(SignalNumber.terminate, SignalNumber.interrupt, SignalNumber.child))
            events = try LinkEvents()
            timer = try TimerFile()
            loop = try EventLoop()
            _ = try loop.add(listener.number, .readable, handler: self, token: Token.listener)
            _ = try loop.add(signals.descriptor.number, .readable, handler: self, token: Token.signals)
            _ = try loop.add(events.descriptor, .readable, handler: self, token: Token.links)
            _ = try loop.add(timer.descriptor.number, .readable, handler: self, token: Token.timer)
            _ = try loop.add(engine.probesDescriptor, .readable, handler: self, token: Token.probes)
            _ = try loop.add(engine.refusedNamesDescriptor, .readable, handler: self, token: Token.names)
            if let packets = engine.packetsDescriptor {
                _ = try loop.add(packets, .readable, handler: self, token: Token.packets)
            }
        } catch {
            throw FabricFault("the fabric's socket \(folder.socket) cannot be served: \(error)")
        }
    }

    /// Until it is told to end by SIGTERM, or nobody needs it.
    public func run() {
        armTimer()
        loop.run()
    }

    public func handleEvent(token: UInt32, readiness: Readiness) {
        switch token {
        case Token.listener: takeRequests()
        case Token.signals: takeSignals()
        case Token.links: takeLinkEvents()
        // When they came is what counts; they are judged when it is time.
        case Token.probes: engine.takeProbes()
        case Token.packets: engine.takeLoggedPackets()
        case Token.names: engine.takeRefusedNames()
        case Token.waiting...: hangUp(token)
        default:
            timer.drain()
            if let idleUntil, idleUntil <= Clock.monotonic.nanoseconds() {
                isDone = true
                return loop.stop()
            }
            armTimer()
        }
    }

    // MARK: Requests

    private func takeRequests() {
        while let connection = try? UnixSocket.accept(listener.number) {
            wasChange = false
            switch answer(connection.number) {
            case .now(let document): Self.tell(document, to: connection.number)
            case .whenReady(let candidacy, let untilNanoseconds):
                wait(for: candidacy, untilNanoseconds, consume connection)
            }
            if wasChange { engine.stops?.reach(.answered) }
            // A fabric that nobody is plugged into is needed by nobody; the next machine has it made again.
            if isDone { return loop.stop() }
            armTimer()
        }
    }

    /// One request is a whole JSON document up to where its sender ends sending. Everything else waits meanwhile, but only as
    /// long as a request of that size may take.
    private func answer(_ connection: Int32) -> Answer {
        do throws(FabricFault) {
            let bytes: [UInt8]
            do throws(LinuxError) {
                try setNonBlocking(connection, false)
                try setTimeouts(connection, milliseconds: Self.patienceMilliseconds)
                bytes = try FileTree.contents(connection, maximumBytes: JSONParser.maximumBytes)
            } catch { throw FabricFault("the request cannot be read: \(error)") }
            switch try FabricRequest(parsing: bytes) {
            case .change(let change):
                wasChange = true
                engine.stops?.reach(.asked)
                let wasNeeded = engine.isNeeded
                try engine.apply(change)
                isDone = wasNeeded && !engine.isNeeded
            case .readiness(let change, let milliseconds):
                guard waiting.count < Self.mostWaiting else {
                    throw FabricFault("\(waiting.count) others wait for their appliances; try again later")
                }
                let candidacy = try engine.makeCandidates(for: change)
                if candidacy.isEmpty { break }
                let until = Clock.monotonic.nanoseconds() + UInt64(milliseconds) * 1_000_000
                return .whenReady(candidacy, untilNanoseconds: until)
            case .report: return .now(try engine.report())
            case .end:
                var nothing = FabricChange()
                nothing.isWhole = true
                try engine.apply(nothing)
                isDone = true
            }
            return .now(.object([]))
        } catch {
            return .now(Self.refusal(error))
        }
    }

    private static func refusal(_ fault: FabricFault) -> JSONValue {
        .object([JSONMember("error", .string(fault.description))])
    }

    private static func tell(_ document: JSONValue, to connection: Int32) {
        var answer: [UInt8] = []
        document.write(to: &answer)
        try? writeAll(connection, answer)
    }

    // MARK: Those who wait for appliances

    private func wait(for candidacy: Candidacy, _ untilNanoseconds: UInt64, _ connection: consuming FileDescriptor) {
        let client = WaitingClient(candidacy, untilNanoseconds, token: nextWaiting, connection)
        nextWaiting = nextWaiting == .max ? Token.waiting : nextWaiting + 1
        // For nothing but its going away. Where that cannot be seen, it is waited for to the end.
        client.registration = try? loop.add(client.connection.number, [], handler: self, token: client.token)
        waiting.append(client)
    }

    private func hangUp(_ token: UInt32) {
        for client in waiting where client.token == token { end(client, isReady: false) }
        armTimer()
    }

    private func end(_ client: WaitingClient, isReady: Bool) {
        if let registration = client.registration { loop.remove(registration, client.connection.number) }
        waiting.removeAll { $0 === client }
        engine.letGo(client.candidacy, isReady: isReady)
    }

    /// Answers those whose appliances are ready, and those who have waited for as long as they wanted to. Nanoseconds until the next look;
    /// nil: nobody waits.
    private func answerWaiting() -> UInt64? {
        for client in waiting {
            let fault = engine.fault(of: client.candidacy)
            if fault != nil, Clock.monotonic.nanoseconds() < client.untilNanoseconds { continue }
            Self.tell(fault.map(Self.refusal) ?? .object([]), to: client.connection.number)
            end(client, isReady: fault == nil)
        }
        return waiting.isEmpty ? nil : Self.lookingNanoseconds
    }

    // MARK: What happens by itself

    private func takeSignals() {
        while let number = signals.next() {
            guard number == SignalNumber.child else { return loop.stop() }
            while let child = try? Children.reap() { engine.programEnded(child.process) }
        }
    }

    private func takeLinkEvents() {
        guard let changes = try? events.next() else { return engine.lookAtEnds() }
        for change in changes {
            switch change {
            case .lost: engine.lookAtEnds()
            case .changed(let link): engine.linkChanged(link.name)
            case .removed(_, let name): engine.linkChanged(name)
            }
        }
        armTimer()
    }

    /// Those of appliances that route come to a place of their own, which is there with the first of them.
    private func watchRoutedProbes() {
        guard let descriptor = engine.routedProbesDescriptor, descriptor != routedProbes else { return }
        guard (try? loop.add(descriptor, .readable, handler: self, token: Token.probes)) != nil else { return }
        routedProbes = descriptor
    }

    /// For what is to happen next: an end of a wire that has had its moment, or its own end.
    private func armTimer() {
        watchRoutedProbes()
        let now = Clock.monotonic.nanoseconds()
        if !engine.isNeeded {
            if idleUntil == nil { idleUntil = now + idleNanoseconds }
        } else {
            idleUntil = nil
        }
        let pauses = [
            answerWaiting(), engine.closeDrained(), engine.probe(), engine.emptyEgressSets(),
            engine.lookAfterStretches(), engine.announceAgain(), engine.remindRouters(),
            idleUntil.map { $0 > now ? $0 - now : 0 },
        ].compactMap { $0 }
        if let next = pauses.min() { try? timer.arm(firstNanoseconds: next + 1_000_000) }
    }
}

/// How a request is answered.
private enum Answer {
    case now(JSONValue)
    case whenReady(Candidacy, untilNanoseconds: UInt64)
}

/// Somebody whose answer waits until appliances are ready.
private final class WaitingClient {
    let candidacy: Candidacy
    let untilNanoseconds: UInt64
    /// Unlike anybody else's.
    let token: UInt32
    let connection: FileDescriptor
    var registration: EventRegistration?

    init(
        _ candidacy: Candidacy, _ untilNanoseconds: UInt64, token: UInt32, _ connection: consuming FileDescriptor
    ) {
        self.candidacy = candidacy
        self.untilNanoseconds = untilNanoseconds
        self.token = token
        self.connection = connection
    }
}
