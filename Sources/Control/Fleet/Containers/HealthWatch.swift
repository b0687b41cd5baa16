import AgentClient
import AgentProtocol
import FoundationEssentials
import HostFiles
import LinuxCalls
import Synchronization

/// Asks a running machine after its health, on a thread of its own, until it is told to end.
final class HealthWatch: Sendable {
    private static let stackBytes = 1 << 20
    /// Over all waiting for a check that is under way when the watch ends: it is broken off at once.
    private static let endMilliseconds: UInt64 = 15_000
    private static let connectMilliseconds: UInt64 = 30_000

    private let check: HealthCheck
    private let specification: MachineSpecification
    private let endpoint: any AgentEndpoint
    private let file: HostPath
    private let pauseMark: HostPath
    private let whenHealthy: @Sendable () -> Void
    private let whenUnhealthy: @Sendable (String) -> Void
    private let stop: SharedEvent
    private let done: SharedEvent
    private let isStopped = Atomic<Bool>(false)

    /// - Parameters:
    ///   - whenHealthy: called on this watch's thread, the first time that it is.
    ///   - whenUnhealthy: called there, too, with the reason.
    init(
        _ check: HealthCheck, of machine: OwnedMachine, at endpoint: any AgentEndpoint,
        whenHealthy: @escaping @Sendable () -> Void, whenUnhealthy: @escaping @Sendable (String) -> Void
    ) throws(LinuxError) {
        self.check = check
        specification = machine.record.specification
        self.endpoint = endpoint
        file = machine.folder.appending(HealthReport.fileName)
        pauseMark = machine.folder.appending(PauseMark.fileName)
        self.whenHealthy = whenHealthy
        self.whenUnhealthy = whenUnhealthy
        stop = try SharedEvent()
        done = try SharedEvent()
        try startThread(stackBytes: Self.stackBytes) { [self] in
            run()
            done.signal()
        }
    }

    /// Ends it; what it knew stays on record.
    func end() {
        isStopped.store(true, ordering: .releasing)
        stop.signal()
        _ = waitUntilReadable(done.descriptor, until: Deadline(afterMilliseconds: Self.endMilliseconds))
    }

    /// Waits for the watch's end, as long as that.
    /// - Returns: whether it has come.
    private func isOver(after seconds: Double) -> Bool {
        waitUntilReadable(stop.descriptor, until: Deadline(after: .milliseconds(Int64(seconds * 1000))))
    }

    private func run() {
        var report = HealthReport()
        write(report)
        let begin = Clock.monotonic.nanoseconds()
        while true {
            let elapsed = Self.seconds(since: begin)
            let isEarly = report.state == .starting && elapsed < check.startPeriodSeconds
            if isOver(after: isEarly ? check.earlyPauseSeconds(since: elapsed) : check.intervalSeconds) { return }
            let counts = Self.seconds(since: begin) >= check.startPeriodSeconds
            // Who stands still cannot answer, and is as healthy as before.
            if pauseMark.exists { continue }
            let answer = ask()
            if isStopped.load(ordering: .acquiring) { return }
            if answer.exitStatus == nil, pauseMark.exists { continue }
            let wasStarting = report.state == .starting
            let isNews = report.add(answer, counts: counts, retries: check.retries)
            write(report)
            if wasStarting, report.state == .healthy { whenHealthy() }
            guard isNews else { continue }
            let said = answer.output.split(whereSeparator: \.isNewline).last.map { "; the last said: \($0)" } ?? ""
            whenUnhealthy("unhealthy: its health check failed \(report.failuresInARow) times in a row\(said)")
            if specification.container.whenUnhealthy == .nothing { continue }
            // The program has been told to end.
            if isOver(after: specification.container.stopTimeoutSeconds) { return }
            SignalWatcher.tellOwnProcess(SignalWatcher.endNow)
            return
        }
    }

    private static func seconds(since begin: UInt64) -> Double {
        Double(Clock.monotonic.nanoseconds() &- begin) / 1e9
    }

    /// A disk that is full loses the news, not the machine.
    private func write(_ report: HealthReport) {
        guard let data = try? JSONEncoder().encode(report) else { return }
        try? file.replaceQuickly([UInt8](data))
    }

    private func ask() -> HealthReport.Check {
        let begin = Clock.monotonic.nanoseconds()
        var answer = HealthReport.Check(
            started: Timestamp.text(nanoseconds: Clock.realTime.nanoseconds(), digits: 3), durationSeconds: 0,
            exitStatus: nil, output: "")
        let output = BoundedOutput(HealthReport.Check.mostOutputBytes)
        var trouble: String?
        do throws(AgentClientError) {
            let control = try AgentConnection(
                to: endpoint, until: Deadline(afterMilliseconds: Self.connectMilliseconds))
            let session = try ProcessSession(start(), over: control, output: output)
            session.endpoint = endpoint
            session.machineExit = stop.descriptor
            session.timeLimit = .milliseconds(Int64(check.timeoutSeconds * 1000))
            switch try session.run() {
            case .exited(let status): answer.exitStatus = Int32(status.shellStatus)
            case .timedOut: trouble = "it did not end within \(check.timeoutSeconds) s"
            case .ended, .machineEnded: trouble = "the machine ended"
            }
        } catch {
            trouble = error.message
        }
        answer.durationSeconds = (Self.seconds(since: begin) * 1000).rounded() / 1000
        answer.output = output.text
        if let trouble {
            answer.output += (answer.output.isEmpty || answer.output.hasSuffix("\n") ? "" : "\n") + trouble
        }
        return answer
    }

    private func start() -> Start {
        var generator = SystemRandomNumberGenerator()
        return Start(
            arguments: check.command.map { ByteString($0) },
            environment: specification.environment.map { ByteString($0) }, user: ByteString(specification.user),
            supplementaryGroups: specification.container.groups.map { ByteString($0) },
            workingDirectory: ByteString(specification.workingDirectory),
            streams: .pipes(input: false, output: true, error: true), streamOrigin: .host,
            token: Token(first: generator.next(), second: generator.next()))
    }
}

/// Keeps the beginning of what comes and lets the rest go by.
private final class BoundedOutput: OutputSink {
    private let most: Int
    private let bytes = Mutex<[UInt8]>([])

    init(_ most: Int) { self.most = most }

    func write(_ new: Span<UInt8>, from stream: ProcessStream) -> Bool {
        bytes.withLock { bytes in
            // SAFETY: the buffer is copied inside the closure.
            unsafe new.withUnsafeBufferPointer { unsafe bytes.append(contentsOf: $0.prefix(most - bytes.count)) }
        }
        return true
    }

    var text: String { bytes.withLock { String(decoding: $0, as: UTF8.self) } }
}

extension MachineStore {
    /// What is known about the machine's health; nil for one that nobody asks after it.
    public func health(_ record: MachineRecord) -> HealthReport? {
        guard record.specification.container.healthCheck != nil,
            let bytes = try? folder(record.id).appending(HealthReport.fileName).readWhole(limit: 1 << 20)
        else { return nil }
        return try? JSONDecoder().decode(HealthReport.self, from: Data(bytes))
    }
}
