public import AgentClient
public import AgentProtocol
import HostFiles
import LinuxCalls
import Synchronization

/// How a run came out, for whoever started it.
public struct RunOutcome: Equatable, Sendable {
    /// The program's exit status as a shell gives it, 124 when its time was over.
    public var exitStatus: Int32
    /// Whether the program was ended from outside, and by what.
    public var note: String?
}

/// Runs one machine from its record to its end, in this process: in front for `run`, in the background for `supervise`.
public final class MachineOwner {
    /// Connections that come at once: control and three streams.
    private static let expectedConnections = 4
    /// A volume that is used for the first time may get many files.
    private static let configurePatienceSeconds: UInt32 = 600
    private static let configureID: UInt32 = 1
    private static let processID: UInt32 = 2
    private static let consoleTailBytes = 2000
    /// A panic's own line stands before its registers, calls and modules.
    private static let panicTailBytes = 64 << 10

    /// How a guest ends its machine, by what the monitor then ends with. A kernel without ACPI halts when it is switched
    /// off. Source: swiftlet-vmm --help.
    private static let ownEnds = [
        "exit status 0": "the machine was powered off or restarted", "exit status 2": "the machine was halted",
    ]

    private let machine: OwnedMachine
    private let launcher: any MonitorLauncher
    private let signals: SignalWatcher?
    private var specification: MachineSpecification { machine.record.specification }

    /// Descriptor of what becomes the program's standard input.
    public var input: Int32?
    public var output: any OutputSink
    public var terminalSize: () -> TerminalSize? = { nil }
    /// Called when the program runs.
    public var whenStarted: () -> Void = {}
    /// Called when the guest first tells of damage to its image's disk, and when one of its disks first cannot be read or
    /// written, with a text for people.
    public var whenDamaged: (String) -> Void = { _ in }
    /// Called when the guest asks that its settings be kept, on a thread of its own, and not too often.
    public var whenSettingsProposed: (@Sendable (MachineRemote) -> Void)?
    /// Made in the guest before its program runs.
    public var handedIn: [HandedInFile] = []

    /// Whether the program is not to be run again, whatever the policy says: `stop`, `kill` or this process's end.
    private var isEndedForGood = false
    /// Whether somebody wants the machine's end: not this process's, and not this computer's.
    private var isStopped = false
    /// Whether the program of the present run has been started.
    private var hasStarted = false
    private var startedNanoseconds: UInt64 = 0
    /// How often a guest of this machine has told of damage to its image's disk.
    private var damageCount: UInt64 = 0
    /// Why the machine's health had its program stopped.
    private let unhealthy = UnhealthyReason()

    private final class UnhealthyReason: Sendable {
        private let text = Mutex<String?>(nil)
        var value: String? {
            get { text.withLock { $0 } }
            set { text.withLock { $0 = newValue } }
        }
    }

    init(_ machine: OwnedMachine, launcher: any MonitorLauncher, signals: SignalWatcher?, output: any OutputSink) {
        self.machine = machine
        self.launcher = launcher
        self.signals = signals
        self.output = output
    }

    /// Boots, runs the program, ends the machine and records all of it; again, as long as the restart policy says so.
    /// - Throws: when the program did not run, or its exit status never came; nothing is left running then.
    public func run() throws -> RunOutcome {
        if !handedIn.isEmpty { HandedInFiles.forbidCoreDumps() }
        // One that nobody waits for any more.
        _ = machine.takeRestartRequest()
        var backOff = RestartBackOff()
        var previous: Result<RunOutcome, any Error>?
        while true {
            var end = Result { try runProgram() }
            // Who is stopped before the next run has begun ended as the run before it did.
            if isEndedForGood, !hasStarted, let previous { end = previous }
            let (exitStatus, reason): (Int32?, String?) =
                switch end {
                case .success(let outcome): (outcome.exitStatus, outcome.note)
                case .failure(let error): (nil, "\(error)")
                }
            // The emulated host is not begun again for a program: somebody has ended it with all that ran in it.
            let hasPlace = (try? Launchers.sockets(of: machine.record, paths: machine.store.paths)) != nil
            if hasPlace, machine.takeRestartRequest() {
                (isEndedForGood, isStopped) = (false, false)
                begin(exitStatus, "somebody wanted it to boot anew", isReset: true)
                machine.turnConsoleOver()
                previous = end
                continue
            }
            if !isEndedForGood, hasStarted || previous != nil, hasPlace {
                let ran = hasStarted ? Double(Clock.monotonic.nanoseconds() &- startedNanoseconds) / 1e9 : 0
                if prepareRestart(exitStatus, reason, pause: backOff.next(afterRunningSeconds: ran)) {
                    previous = end
                    continue
                }
            }
            machine.finish(exitStatus: exitStatus, failure: reason, isStopped: isStopped)
            return try end.get()
        }
    }

    /// Writes down that the program is run again, and waits until it is time.
    /// - Returns: whether it is to be; false as well when somebody ends the machine meanwhile.
    private func prepareRestart(_ exitStatus: Int32?, _ reason: String?, pause: Double) -> Bool {
        let container = specification.container
        let restarts = machine.record.restartCount ?? 0
        // A health check that has the program stopped says that it failed, whatever it ends with.
        let isUnhealthy = unhealthy.value != nil
        if isUnhealthy, container.whenUnhealthy == .stop { isStopped = true }
        guard !isStopped, container.restart.wantsAnother(exitStatus: isUnhealthy ? nil : exitStatus, restarts: restarts)
        else { return false }
        begin(exitStatus, reason)
        let deadline = Deadline(after: .milliseconds(Int64(pause * 1000)))
        while !deadline.isOver {
            var entries = [PollEntry(reading: signals?.descriptor ?? -1)]
            AgentClient.wait(for: &entries, until: deadline)
            while let signal = signals?.next() {
                if endsMachine(signal) { return false }
            }
        }
        machine.turnConsoleOver()
        return true
    }

    /// Whether a signal is the machine's end, which then is for good.
    private func endsMachine(_ signal: Int32) -> Bool {
        guard SignalWatcher.asksForTheEnd(signal) else { return false }
        isEndedForGood = true
        if signal == SignalWatcher.stop || signal == SignalWatcher.endNow { isStopped = true }
        return true
    }

    private func begin(_ exitStatus: Int32?, _ reason: String?, isReset: Bool = false) {
        let note = RestartNote(
            seconds: Int64(Clock.realTime.nanoseconds() / 1_000_000_000), exitStatus: exitStatus, reason: reason)
        // A disk that is full loses the news, not the program.
        try? machine.update { record in
            record.state = .restarting
            record.note(note, isReset: isReset)
        }
    }

    private func runProgram() throws -> RunOutcome {
        // What was known of the health of the run before is not known of this one.
        try? machine.folder.appending(HealthReport.fileName).removeFile()
        hasStarted = false
        unhealthy.value = nil
        machine.takeChangedLimits()
        let paths = machine.store.paths
        let socketPath = launcher.socketPath(machine.record.id)
        guard socketPath.utf8.count <= ProductPaths.maximumSocketPathBytes else {
            throw FleetError(
                .unusableFolder,
                "the path \(socketPath) is too long for a socket; set SWIFTLET_RUNTIME to a shorter folder")
        }
        var initrds = [try AgentArchive.prepare(paths)]
        if let modules = specification.modulesPath { initrds.append(modules) }
        let configuration = MonitorConfiguration(
            specification: specification, interfaces: machine.record.interfaces, initrdPaths: initrds,
            socketPath: socketPath, controlFolder: try machine.prepareControl())
        let configurationPath = machine.folder.appending("monitor.json")
        try files { () throws(HostFileError) in
            try configurationPath.replaceQuickly(Array(configuration.json.utf8))
        }
        let listener = try launcher.sockets.listen(
            "\(socketPath)_\(VsockPorts.agent)", expecting: Self.expectedConnections)
        defer { listener.close() }
        let consolePath = machine.folder.appending("console.log")
        let console = ConsoleSink(consolePath, isShown: specification.showsConsole)
        let watch: DiskFailureWatch
        do throws(LinuxError) { watch = try DiskFailureWatch(console) } catch {
            throw FleetError(.monitorEnded, "cannot watch over the machine's disks: \(error)")
        }
        // With the monitor's end all is known that it had to say.
        defer { note(watch.take()) }
        let monitor = try launcher.start(
            paths.monitor, configurationPath: configurationPath.description,
            console: watch)
        defer {
            console.hide()
            monitor.end()
            if monitor.wasKilled {
                for path in [socketPath, MonitorConfiguration.controlSocket(socketPath)] { launcher.removeSocket(path) }
            }
        }
        // Everything from here on happens while the guest boots.
        let launcher = launcher
        try machine.update { record in
            record.socketPath = socketPath
            record.isEmulated = launcher.isEmulated
            record.monitorProcess = monitor.processIdentifier
        }
        let groups = ControlGroups(store: machine.store, record: machine.record)
        // Elsewhere the process is there for certain when its guest has answered.
        if !launcher.isEmulated { try groups.apply(specification.limits) }
        let control = try awaitAgent(listener, monitor, consolePath)
        if launcher.isEmulated { try groups.apply(specification.limits) }
        control.whenDamaged = { [self] in note($0) }
        var proposals: ProposalWatch?
        control.whenSettingsProposed = { proposals?.ask() }
        let endpoint = VsockEndpoint(path: socketPath, domain: launcher.sockets)
        let volumes = VolumeStore(paths)
        let unfilled = try specification.container.volumes.filter {
            try !$0.isReadOnly && !volumes.find($0.name).isFilled
        }
        try control.send(.configure(try guestConfiguration(filling: unfilled)), id: Self.configureID)
        let session = try ProcessSession(start(), id: Self.processID, over: control, output: output)
        session.startPatience = .seconds(launcher.patienceSeconds)
        session.input = input
        session.signals = signals
        session.terminalSize = terminalSize
        session.machineExit = monitor.exitDescriptor
        session.news = (watch.descriptor, { [self] in note(watch.take()) })
        session.listener = listener
        session.timeLimit = specification.timeLimitSeconds.map { .milliseconds(Int64(min($0, 1e9) * 1000)) }
        session.stopSignal = specification.container.stopSignal
        var health: HealthWatch?
        var settings: SettingsWatch?
        session.whenStarted = { [self] in
            hasStarted = true
            startedNanoseconds = Clock.monotonic.nanoseconds()
            try? machine.update { record in
                record.state = .running
                record.startedSeconds = Int64(Clock.realTime.nanoseconds() / 1_000_000_000)
            }
            machine.catchUpWithLimits()
            health = watchHealth(at: endpoint)
            settings = watchSettings()
            proposals = watchProposals()
            whenStarted()
        }
        defer {
            proposals?.end()
            health?.end()
            settings?.end()
        }
        let end: SessionEnd
        do {
            if !unfilled.isEmpty || !handedIn.isEmpty {
                try awaitConfigured(control, monitor)
                // Before the program runs: what it changes is never to be written over.
                for volume in unfilled { try volumes.markFilled(volume.name) }
                if !handedIn.isEmpty { try FileCopy.handIn(handedIn, to: endpoint, patience: session.startPatience) }
            }
            end = try session.run()
        } catch let error as AgentClientError where error.code == .gone {
            end = .machineEnded
        }
        let unhealthyReason = unhealthy.value
        if session.wasStopped, unhealthyReason == nil { (isEndedForGood, isStopped) = (true, true) }
        switch end {
        case .exited(let status):
            endGuest(control, monitor)
            return RunOutcome(exitStatus: Int32(status.shellStatus), note: unhealthyReason)
        case .timedOut:
            return RunOutcome(
                exitStatus: 124, note: "the program was ended after \(specification.timeLimitSeconds ?? 0) seconds")
        case .ended(let signal):
            isEndedForGood = unhealthyReason == nil
            if isEndedForGood, signal == SignalNumber.kill { isStopped = true }
            if let unhealthyReason { return RunOutcome(exitStatus: 128 + signal, note: unhealthyReason) }
            return RunOutcome(exitStatus: 128 + signal, note: "the machine was ended by signal \(signal)")
        case .machineEnded:
            // A guest that was told to power off, by `stop` or from within, ends without a status.
            _ = monitor.waitUntilEnded(milliseconds: 5000)
            if let reason = panic(consolePath) {
                throw FleetError(.kernelPanicked, "the guest's kernel panicked: \(reason)\(tail(consolePath))")
            }
            if hasStarted, let note = Self.ownEnds[monitor.ending] {
                return RunOutcome(exitStatus: 128 + SignalNumber.kill, note: note)
            }
            throw FleetError(
                .monitorEnded,
                "the machine ended before its program did (monitor: \(monitor.ending))\(tail(consolePath))")
        }
    }

    /// Writes down what the guest found on its image's disk. A guest may tell as often as it likes: only its first word, and
    /// then each doubling of their number, is worth a write.
    private func note(_ damage: DiskDamage) {
        let seconds = Int64(Clock.realTime.nanoseconds() / 1_000_000_000)
        damageCount += 1
        guard damageCount & (damageCount - 1) == 0 else { return }
        try? machine.update { record in
            if record.imageDamage == nil { record.imageDamage = ImageDamage(damage, atSeconds: seconds) }
            record.imageDamage?.count = damageCount
        }
        if damageCount == 1, let damage = machine.record.imageDamage {
            whenDamaged(damage.message(image: specification.image))
        }
    }

    /// Writes down what this computer could not read or write of the machine's disks, the first time for each.
    private func note(_ failures: [DiskFailure]) {
        for failure in failures {
            guard machine.record.diskFailures?.contains(where: { $0.drive == failure.drive }) != true else { continue }
            try? machine.update { $0.diskFailures = ($0.diskFailures ?? []) + [failure] }
            whenDamaged(failure.message(image: specification.image))
        }
    }

    /// Waits until the guest is what its configuration says: what comes next needs that.
    private func awaitConfigured(
        _ control: AgentConnection, _ monitor: any RunningMonitor
    ) throws(AgentClientError) {
        let patience = Duration.seconds(max(Self.configurePatienceSeconds, launcher.patienceSeconds))
        let deadline = Deadline(after: patience)
        while true {
            while let frame = try control.receivePending() {
                switch frame.message {
                case .configured: return
                case .failure(let failure): throw AgentClientError(failure)
                default: break
                }
            }
            var entries = [
                PollEntry(reading: control.socket.number), PollEntry(reading: monitor.exitDescriptor),
                PollEntry(reading: signals?.descriptor ?? -1),
            ]
            wait(for: &entries, until: deadline)
            while let signal = signals?.next() {
                guard endsMachine(signal) else { continue }
                throw AgentClientError(.interrupted, "ended before the program started", signal: SignalNumber.terminate)
            }
            if entries[0].isReady {
                guard try control.fill() else { throw AgentClientError(.gone, "the machine ended") }
            } else if entries[1].isReady {
                throw AgentClientError(.gone, "the machine ended")
            } else if deadline.isOver {
                throw AgentClientError(.silent, "the guest was not set up within \(patience)")
            }
        }
    }

    /// Begins to ask after the program's health, where that is wanted.
    private func watchHealth(at endpoint: any AgentEndpoint) -> HealthWatch? {
        guard let check = specification.container.healthCheck else { return nil }
        let action = specification.container.whenUnhealthy
        // A watch that there is no thread for is missed by who waits for health, and by nobody else.
        return try? HealthWatch(check, of: machine, at: endpoint) { [unhealthy] reason in
            guard action != .nothing else { return }
            unhealthy.value = reason
            SignalWatcher.tellOwnProcess(SignalWatcher.stop)
        }
    }

    /// Has the guest go back from settings that nobody confirmed.
    private func watchSettings() -> SettingsWatch? {
        guard let floppy = specification.settingsFloppyPath else { return nil }
        let remote = MachineRemote(machine.record, store: machine.store)
        // What the guest says to it changes nothing: those settings have counted before.
        return try? SettingsWatch(floppy) { try? remote.applySettings() }
    }

    /// Does what the guest asks for about its settings.
    private func watchProposals() -> ProposalWatch? {
        guard specification.settingsName != nil, let whenSettingsProposed else { return nil }
        let remote = MachineRemote(machine.record, store: machine.store)
        return try? ProposalWatch { whenSettingsProposed(remote) }
    }

    /// Lets the guest write to its disks what it has not, where there are any.
    private func endGuest(_ control: AgentConnection, _ monitor: any RunningMonitor) {
        guard specification.allDisks.contains(where: { !$0.isReadOnly }) else { return }
        try? control.send(.powerOff(PowerOff(.powerOff, graceMilliseconds: 1000)))
        _ = monitor.waitUntilEnded(milliseconds: 10_000)
    }

    /// Waits for the agent's call and its greeting.
    private func awaitAgent(
        _ listener: any SocketListener, _ monitor: any RunningMonitor, _ consolePath: HostPath
    ) throws -> AgentConnection {
        let deadline = Deadline(afterMilliseconds: UInt64(launcher.patienceSeconds) * 1000)
        while true {
            var entries = [PollEntry(reading: monitor.exitDescriptor), PollEntry(reading: signals?.descriptor ?? -1)]
            entries += listener.descriptors.map { PollEntry(reading: $0) }
            guard wait(for: &entries, until: deadline) > 0 else {
                guard deadline.isOver else { continue }
                throw FleetError(
                    .agentSilent,
                    "the guest did not answer within \(launcher.patienceSeconds) seconds; is its kernel one that Swiftlet knows?\(tail(consolePath))"
                )
            }
            while let next = signals?.next() {
                guard endsMachine(next) else { continue }
                let signal =
                    switch next {
                    case SignalWatcher.endNow: SignalNumber.kill
                    case SignalWatcher.stop: SignalNumber.terminate
                    default: next
                    }
                throw FleetError(
                    .interrupted, "ended by signal \(signal) before the program started", signal: signal)
            }
            if entries[2...].contains(where: \.isReady), let connection = try listener.accept() {
                let socket = AgentSocket(connection)
                let bytes = try socket.readExactly(Opening.byteCount, until: deadline)
                guard let opening = try? Opening(decoding: bytes), case .control = opening.kind else { continue }
                return try AgentConnection(greetingOn: socket, until: deadline)
            }
            if entries[0].isReady {
                _ = monitor.waitUntilEnded(milliseconds: 2000)
                throw FleetError(
                    .monitorEnded, "the monitor ended before the guest answered (\(monitor.ending))\(tail(consolePath))"
                )
            }
        }
    }

    /// What the kernel said as it gave up, if it did. It then resets the machine as it would be asked to, so that only
    /// the console tells the two apart.
    private func panic(_ console: HostPath) -> String? {
        guard let bytes = try? console.readWhole(limit: 4 << 20) else { return nil }
        return Self.panic(in: String(decoding: bytes.suffix(Self.panicTailBytes), as: UTF8.self))
    }

    /// The reason in the last line that tells of a panic: the kernel's own, which begins with its time or with it.
    ///
    /// Trust: a program may write such a line to the console; all it gains is another reason for its machine's end.
    static func panic(in console: String) -> String? {
        let words = "Kernel panic - not syncing: "
        for line in console.split(whereSeparator: \.isNewline).reversed() {
            var rest = line[...]
            while rest.hasPrefix("["), let end = rest.firstIndex(of: "]") {
                rest = rest[rest.index(after: end)...].drop(while: { $0 == " " })
            }
            if rest.hasPrefix(words) { return String(rest.dropFirst(words.count)) }
        }
        return nil
    }

    /// The end of what the console said, for an error message.
    private func tail(_ console: HostPath) -> String {
        guard let bytes = try? console.readWhole(limit: 4 << 20), !bytes.isEmpty else { return "" }
        let text = String(decoding: bytes.suffix(Self.consoleTailBytes), as: UTF8.self)
        let lines = text.split(whereSeparator: \.isNewline).suffix(20)
        return "; its console ends with:\n" + lines.map { "    \($0)" }.joined(separator: "\n")
    }

    private func guestConfiguration(filling unfilled: [VolumeAttachment]) throws(FleetError) -> Configuration {
        var configuration = Configuration()
        configuration.hostName = ByteString(specification.hostName ?? machine.record.name)
        configuration.root = RootFileSystem(
            source: ByteString(MonitorConfiguration.rootDevice), fileSystem: "erofs",
            verity: try specification.imageVerity?.forAgent())
        configuration.mounts = specification.mounts(filling: unfilled)
        configuration.interfaces = machine.record.guestInterfaces
        let container = specification.container
        configuration.nameServers = container.nameServers.compactMap { IPAddress($0) }
        configuration.searchDomains = container.searchDomains.map { ByteString($0) }
        configuration.hostEntries = container.hostEntries.compactMap { entry in
            let isGateway = entry.address == ContainerSettings.HostAddress.gateway
            let address = isGateway ? machine.record.hostGateway : IPAddress(entry.address)
            return address.map { HostEntry($0, ByteString(entry.name)) }
        }
        configuration.realTimeNanoseconds = Clock.realTime.nanoseconds()
        var generator = SystemRandomNumberGenerator()
        configuration.seed = (0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) }
        return configuration
    }

    private func start() -> Start {
        var generator = SystemRandomNumberGenerator()
        let streams: Start.Streams =
            specification.hasTerminal
            ? .terminal(terminalSize() ?? TerminalSize(rows: 24, columns: 80))
            : .pipes(input: specification.isInteractive, output: true, error: true)
        return Start(
            arguments: specification.command.map { ByteString($0) },
            environment: specification.environment.map { ByteString($0) }, user: ByteString(specification.user),
            supplementaryGroups: specification.container.groups.map { ByteString($0) },
            workingDirectory: ByteString(specification.workingDirectory), streams: streams, streamOrigin: .agent,
            token: Token(first: generator.next(), second: generator.next()))
    }
}
