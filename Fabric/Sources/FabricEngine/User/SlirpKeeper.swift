import AgentProtocol
import LinuxCalls

/// Runs slirp4netns, which carries what goes in and out of an ordinary user's fabric: starts it again when it has ended, and when it is
/// installed later.
///
/// It ends with this process, whatever ends that: its standard input is a pipe that nobody else writes to.
final class SlirpKeeper: EventHandler {
    private enum Token { static let signals: UInt32 = 0, timer: UInt32 = 1, words: UInt32 = 2 }
    private static let pauseNanoseconds: UInt64 = 2_000_000_000
    private static let patienceNanoseconds: UInt64 = 10_000_000_000
    private static let glanceNanoseconds: UInt64 = 2_000_000

    private let folder: EngineFolder
    private let loop: EventLoop
    private let signals: SignalFile
    private let timer: TimerFile
    private let lifeline: PipePair
    /// What it says. Guests may have it say as much as they like: the end of it alone is kept.
    private let said: PipePair
    private var words: [UInt8] = []
    private static let mostWords = 400
    private var process: Int32?
    private var beginNanoseconds: UInt64 = 0

    init(_ folder: EngineFolder) throws(LinuxError) {
        self.folder = folder
        signals = try SignalFile(
            SignalSet(SignalNumber.terminate, SignalNumber.interrupt, SignalNumber.child, SignalNumber.user1))
        timer = try TimerFile()
        lifeline = try PipePair()
        said = try PipePair()
        try setNonBlocking(said.reading.number)
        loop = try EventLoop()
        _ = try loop.add(signals.descriptor.number, .readable, handler: self, token: Token.signals)
        _ = try loop.add(timer.descriptor.number, .readable, handler: self, token: Token.timer)
        _ = try loop.add(said.reading.number, .readable, handler: self, token: Token.words)
        start()
    }

    func run() {
        loop.run()
        if let process {
            try? Children.signal(process, SignalNumber.kill)
            _ = try? Children.wait(for: process)
        }
        try? removeFile(folder.slirp)
    }

    func handleEvent(token: UInt32, readiness: Readiness) {
        if token == Token.timer {
            timer.drain()
            return start()
        }
        if token == Token.words { return listen() }
        while let number = signals.next() {
            switch number {
            case SignalNumber.child:
                while let child = try? Children.reap() { if child.process == process { ended(child.end) } }
            // The engine finds that it hangs.
            case SignalNumber.user1: if let process { try? Children.signal(process, SignalNumber.kill) }
            default: return loop.stop()
            }
        }
    }

    private func start() {
        guard process == nil else { return }
        guard Slirp.isInstalled else { return tryLater() }
        try? removeFile(folder.slirp)
        do throws(ChildFailure) {
            let arguments = Slirp.arguments(folder, holder: Children.own).map { $0.bytes }
            process = try Children.start(
                ChildCommand(
                    candidates: [arguments[0]], arguments: arguments, environment: [],
                    standardDescriptors: (lifeline.reading.number, said.writing.number, said.writing.number)))
        } catch {
            EngineLog.write("\(Slirp.program) cannot be started: \(error.error)")
            return tryLater()
        }
        beginNanoseconds = Clock.monotonic.nanoseconds()
        // It takes requests when its device is there.
        while !Slirp(folder).runs {
            guard Clock.monotonic.nanoseconds() < beginNanoseconds + Self.patienceNanoseconds else { break }
            if let child = try? Children.reap(), child.process == process { return ended(child.end) }
            sleep(nanoseconds: Self.glanceNanoseconds)
        }
    }

    private func listen() {
        while let count = try? read(said.reading.number, appendingTo: &words, maximumBytes: 4096), count > 0 {
            if words.count > Self.mostWords { words.removeFirst(words.count - Self.mostWords) }
        }
    }

    /// One that ends as soon as it begins would end again.
    private func ended(_ end: ChildEnd) {
        process = nil
        let lived = Clock.monotonic.nanoseconds() - beginNanoseconds
        listen()
        let text = words.map { (0x20...0x7e).contains($0) ? $0 : 0x20 }
        words = []
        let how =
            switch end {
            case .exited(let status): "with status \(status)"
            case .signalled(let signal): "by signal \(signal)"
            }
        EngineLog.write("\(Slirp.program) has ended \(how); the last it said: \(String(decoding: text, as: UTF8.self))")
        if lived > Self.pauseNanoseconds / 2 { start() } else { tryLater() }
    }

    private func tryLater() { try? timer.arm(firstNanoseconds: Self.pauseNanoseconds) }
}
