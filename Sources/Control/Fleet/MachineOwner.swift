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
    /// What ended the machine from outside, where something did.
    var endingSignal: Int32?
}

/// Runs one machine from its record to its end, in this process: in front for `run`, in the background for `supervise`.
public final class MachineOwner {
    /// Connections that come at once: control and three streams.
    private static let expectedConnections = 4
    private static let configureID: UInt32 = 1
    static let processID: UInt32 = 2

    /// How a guest ends its machine, by what the monitor then ends with. A kernel without ACPI halts when it is switched
    /// off. Source: swiftlet-vmm --help.
    private static let ownEnds = [
        "exit status 0": "the machine was powered off or restarted", "exit status 2": "the machine was halted",
    ]

    let machine: OwnedMachine
    let launcher: any MonitorLauncher
    let signals: SignalWatcher?
    var specification: MachineSpecification { machine.record.specification }

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
    /// Called on a thread of its own when the program's health check has first succeeded.
    var whenHealthy: @Sendable () -> Void = {}
    /// See `ProcessSession`.
    var endsBySignal = false
    /// Called in the place of running the program, when the guest is what its configuration says.
    var whenBooted: ((AgentConnection) throws -> Void)?
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
    var damageCount: UInt64 = 0
    /// Why the machine's health had its program stopped.
    let unhealthy = UnhealthyReason()

    final class UnhealthyReason: Sendable {
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
            if machine.record.state == .suspended, case .success = end {
                return RunOutcome(
                    exitStatus: 128 + SignalNumber.kill,
                    note: "the machine was suspended; it goes on with: swiftlet resume \(machine.record.name)")
            }
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
    func endsMachine(_ signal: Int32) -> Bool {
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
        machine.store.removeAttachments(of: machine.record)
        try machine.takeDeclaredInterfaces()
        let paths = machine.store.paths
        let controlFolder = try machine.prepareControl()
        var place = try launcher.prepare(
            machine.record.id, controlFolder: controlFolder,
            servesFolders: !specification.container.folders.isEmpty)
        guard place.socketPath.utf8.count <= ProductPaths.maximumSocketPathBytes else {
            throw FleetError(
                .unusableFolder,
                "the path \(place.socketPath) is too long for a socket; set SWIFTLET_RUNTIME to a shorter folder")
        }
        let restorePoint = machine.restorePoint
        var attached: (attachments: [DeviceAttachment], locks: [DiskLock]) = ([], [])
        if let restorePoint {
            try machine.prepareDisks(for: restorePoint)
            attached = try machine.attachAgain(restorePoint, isEmulated: launcher.isEmulated)
        }
        var initrds = [try AgentArchive.prepare(paths)]
        if let modules = specification.modulesPath { initrds.append(modules) }
        let configuration = MonitorConfiguration(
            specification: specification, interfaces: machine.record.interfaces, initrdPaths: initrds,
            socketPath: place.socketPath, contextIdentifier: machine.record.contextIdentifier,
            controlFolder: controlFolder, restored: restorePoint.map { (machine.folder.description, $0) },
            attached: attached.attachments)
        let configurationPath = machine.folder.appending("monitor.json")
        try files { () throws(HostFileError) in
            try configurationPath.replaceQuickly(Array(configuration.json.utf8))
        }
        let listener = try launcher.sockets.listen(place.agentSocket, expecting: Self.expectedConnections)
        defer { listener.close() }
        var fabric = FabricControl(launcher: launcher, store: machine.store)
        fabric.restored = (machine.record.id, attached.attachments)
        if machine.record.isInFabric || attached.attachments.contains(where: \.isInFabric) {
            try fabric.connect(machine.record)
            place.entrance = fabric.entrance
        }
        defer { fabric.disconnect(machine.record) }
        let console = GuestConsole(path: machine.folder.appending("console.log"))
        let sink = ConsoleSink(console.path, isShown: specification.showsConsole)
        let watch: DiskFailureWatch
        do throws(LinuxError) { watch = try DiskFailureWatch(sink) } catch {
            throw FleetError(.monitorEnded, "cannot watch over the machine's disks: \(error)")
        }
        // With the monitor's end all is known that it had to say.
        defer { note(watch.take()) }
        let monitor = try launcher.start(
            paths.monitor, configurationPath: configurationPath.description, in: place, console: watch)
        defer {
            sink.hide()
            monitor.end()
            launcher.clear(place, of: monitor)
        }
        // Everything from here on happens while the guest boots.
        let launcher = launcher
        try machine.update { record in
            record.socketPath = place.socketPath
            record.isEmulated = launcher.isEmulated
            record.monitorProcess = monitor.processIdentifier
        }
        let groups = ControlGroups(store: machine.store, record: machine.record)
        // Elsewhere the process is there for certain when its guest has answered.
        if !launcher.isEmulated { try groups.apply(specification.limits) }
        let endpoint = VsockEndpoint(path: place.socketPath, domain: launcher.sockets)
        let control =
            restorePoint == nil
            ? try awaitAgent(listener, monitor, console) : try awaitRestored(endpoint, monitor, console)
        if launcher.isEmulated { try groups.apply(specification.limits) }
        control.whenDamaged = { [self] in note($0) }
        var proposals: ProposalWatch?
        control.whenSettingsProposed = { proposals?.ask() }
        var unfilled: [VolumeAttachment] = []
        if let restorePoint {
            try identify(restorePoint, over: control)
        } else {
            let volumes = VolumeStore(paths)
            unfilled = try specification.container.volumes.filter {
                try !$0.isReadOnly && !volumes.find($0.name).isFilled
            }
            try control.send(.configure(try guestConfiguration(filling: unfilled)), id: Self.configureID)
        }
        if let whenBooted {
            try awaitConfigured(control, monitor)
            try whenBooted(control)
            return RunOutcome(exitStatus: 0)
        }
        plugMemory()
        let session = try session(for: restorePoint, over: control)
        session.startPatience = .seconds(launcher.patienceSeconds)
        if launcher.isEmulated { session.silenceAfterExit = ProcessSession.emulatedSilenceAfterExit }
        session.input = input
        session.signals = signals
        session.endsBySignal = endsBySignal
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
            Suspension.remove(from: machine.folder, keepsMemory: launcher.isEmulated)
            attached.locks = []
            machine.catchUpWithLimits()
            machine.catchUpWithPublished(fabric)
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
                if restorePoint == nil { try awaitConfigured(control, monitor) }
                // Before the program runs: what it changes is never to be written over.
                for volume in unfilled { try VolumeStore(paths).markFilled(volume.name) }
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
            return RunOutcome(
                exitStatus: 128 + signal, note: "the machine was ended by signal \(signal)", endingSignal: signal)
        case .machineEnded:
            // A guest that was told to power off, by `stop` or from within, ends without a status.
            _ = monitor.waitUntilEnded(milliseconds: launcher.isEmulated ? 60_000 : 5000)
            if let reason = console.panic {
                throw FleetError(.kernelPanicked, "the guest's kernel panicked: \(reason)\(console.tail)")
            }
            if hasStarted, let note = Self.ownEnds[monitor.ending] {
                return RunOutcome(exitStatus: 128 + SignalNumber.kill, note: note)
            }
            throw FleetError(
                .monitorEnded,
                "the machine ended before its program did (monitor: \(monitor.ending))\(console.tail)")
        }
    }
}
