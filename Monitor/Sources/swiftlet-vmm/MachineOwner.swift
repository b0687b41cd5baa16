import Jail
import LinuxCalls
import Machine
import MachineConfiguration
import MetadataService
import MonitorAPI
import Snapshots
import Synchronization
import WireFormats

/// Builds the machine on the main thread, whoever asks for it, and hands it what the API wants of it.
final class MachineOwner: MachineControl, @unchecked Sendable {
    private enum Step {
        static let idle: UInt32 = 0
        static let wanted: UInt32 = 1
        static let answered: UInt32 = 2
    }

    private struct OpenSnapshot {
        let files: SnapshotFiles
        let state: MachineState
        let isServed: Bool
        let tree: VirtualMachineConfiguration.MemoryTreeReference?
    }

    private let log: MonitorLog
    private let metadata: MetadataStore
    private let hasBootTimer: Bool
    private let filtering: Confinement.Mode
    private let servesAPI: Bool
    /// The only folder in which files are opened; nil: they are opened anywhere.
    private let folder: Int32?
    private let mainThread = currentThreadNumber()
    private let step = Atomic<UInt32>(Step.idle)
    // Handed from one thread to the other along with `step`.
    private var wanted: (() -> Void)?
    private var refusal: HostRefusal?
    private var machine: Machine?
    /// What the machine has, as far as its filters depend on it.
    private var parts: JailedParts = []
    private var checksMemory = false
    /// The snapshot that was opened last, until a machine is made of it.
    private var snapshot: OpenSnapshot?
    /// Made while nothing is asked for. Of the main thread.
    private var shell: MachineShell?
    private var asked: (wall: UInt64, processor: UInt64) = (0, 0)
    /// The socket where host programs ask for the guest's ports; there before the guest is.
    private var vsock: NamedSocket?
    /// Who serves drives; connected to before there is a machine. Of the main thread.
    private var backends: [DriveBackend] = []

    /// - Parameter folder: an open folder, the caller's.
    init(
        log: MonitorLog, metadata: MetadataStore, hasBootTimer: Bool = false,
        filtering: Confinement.Mode = .enforced, servesAPI: Bool = false, folder: Int32? = nil
    ) {
        self.log = log
        self.metadata = metadata
        self.filtering = filtering
        self.servesAPI = servesAPI
        self.hasBootTimer = hasBootTimer
        self.folder = folder
    }

    /// Takes over a machine that somebody else has made and runs.
    func take(_ machine: Machine) { self.machine = machine }

    /// Waits until a machine is wanted, and runs it to its end. The main thread's.
    func waitAndRun() -> MachineEnd {
        // Where there is none, the request that wants it is told why.
        if machine == nil { shell = try? MachineShell() }
        while machine == nil {
            while true {
                let current = step.load(ordering: .acquiring)
                if current == Step.wanted { break }
                waitOnAddress(step, while: current)
            }
            if let work = wanted.take() { work() }
            step.store(Step.answered, ordering: .releasing)
            wakeWaiters(step, count: 1)
        }
        guard let machine else { return .requested }
        let terminal = RawTerminal(0)
        if terminal != nil { parts.insert(.terminal) }
        let end = machine.run(Confinement(filtering, parts: parts, dropsCapabilities: true))
        terminal?.restore()
        vsock = nil
        return end
    }

    private func build(_ make: () throws(MachineError) -> Machine) {
        let blocked = try? blockSignals(SignalSet())
        do throws(MachineError) {
            let machine = try make()
            if hasBootTimer { machine.whenBooted { [self] in noteBoot() } }
            self.machine = machine
        } catch {
            refusal = HostRefusal("\(error)")
            // A machine takes signals over; where there is none after all, they end the process again.
            if let blocked { _ = try? setBlockedSignals(blocked) }
        }
    }

    /// The guest has said that it has booted.
    private func noteBoot() {
        let wall = (Clock.monotonic.nanoseconds() - asked.wall) / 1000
        let processor = (Clock.processor.nanoseconds() - asked.processor) / 1000
        log.write(
            .info,
            "Guest-boot-time = \(Self.padded(wall)) us \(wall / 1000) ms, \(Self.padded(processor)) CPU us \(processor / 1000) CPU ms",
            thread: "fc_vcpu 0")
    }

    private static func padded(_ number: UInt64) -> String {
        let text = String(number)
        return String(repeating: " ", count: max(0, 6 - text.utf8.count)) + text
    }

    // MARK: What the API asks for

    func start(_ configuration: VirtualMachineConfiguration) throws(HostRefusal) {
        var configuration = configuration
        if let vsock, configuration.vsock?.udsPath == vsock.path {
            configuration.vsock?.listener = (try? vsock.listener.duplicate())?.release()
        }
        let whole = configuration
        try start(whole) { () throws(MachineError) in
            let machine = try Machine(
                whole, metadata: self.metadata, backends: self.backends, shell: self.shell.take())
            self.backends = []
            return machine
        }
    }

    /// Has the main thread make a machine, and waits until it has.
    private func start(
        _ configuration: VirtualMachineConfiguration, _ make: @escaping () throws(MachineError) -> Machine
    ) throws(HostRefusal) {
        parts = configuration.jailedParts(hasTerminal: false)
        if servesAPI { parts.formUnion([.api, .limits]) }
        if checksMemory { parts.insert(.checkedMemory) }
        asked = (Clock.monotonic.nanoseconds(), Clock.processor.nanoseconds())
        try performOnMainThread { [self] in build(make) }
    }

    /// Has the main thread, which is not filtered yet, do something that may set `refusal`.
    private func performOnMainThread(_ work: @escaping () -> Void) throws(HostRefusal) {
        refusal = nil
        if currentThreadNumber() == mainThread {
            work()
        } else {
            wanted = work
            step.store(Step.wanted, ordering: .releasing)
            wakeWaiters(step, count: 1)
            while step.load(ordering: .acquiring) != Step.answered { waitOnAddress(step, while: Step.wanted) }
        }
        if let refusal { throw refusal }
    }

    func checkTemplate(_ name: String) throws(HostRefusal) {
        try performOnMainThread { [self] in
            let (isOfAMD, model) = Machine.hostProcessor
            if !ProcessorTemplate.isMade(name, forAMD: isOfAMD) {
                refusal = HostRefusal("CPU vendor mismatched between actual CPU and CPU template.")
            } else if !ProcessorTemplate.isMade(name, forModel: model) {
                refusal = HostRefusal("The current CPU model is not permitted to apply the CPU template.")
            }
        }
    }

    func openVsock(_ path: String) throws(HostRefusal) {
        try performOnMainThread { [self] in
            // The one before gives its name back first: it may be the same.
            vsock = nil
            do throws(LinuxError) { vsock = try NamedSocket(path) } catch {
                refusal = HostRefusal(error.originalWords)
            }
        }
    }

    func connectDrive(_ identifier: String, socket: String) throws(HostRefusal) -> Bool {
        var isReadOnly = false
        try performOnMainThread { [self] in
            // Some backends serve one connection at a time.
            backends.removeAll { $0.drive == identifier }
            do throws(DriveBackend.Refusal) {
                let backend = try DriveBackend(drive: identifier, path: socket)
                backends.append(backend)
                isReadOnly = backend.isReadOnly
            } catch {
                refusal =
                    switch error {
                    case .unreachable(let error):
                        HostRefusal(
                            "Vhost-user error: Failed to connect to UDS Unix stream: \(error.originalWords)")
                    case .unfit(let words): HostRefusal("Vhost-user error: \(words)")
                    }
            }
        }
        return isReadOnly
    }

    func refreshDrive(_ identifier: String) throws(HostRefusal) {
        let machine = try running()
        do throws(MachineError) { try machine.refreshDrive(identifier) } catch { throw HostRefusal("\(error)") }
    }

    func checkFile(_ path: String, isWritable: Bool) throws(HostRefusal) {
        do throws(LinuxError) {
            // A pipe that nobody writes to must not hold up anybody.
            _ = try open(path, isWritable ? [.readWrite, .nonBlocking] : [.readOnly, .nonBlocking])
        } catch { throw HostRefusal(error.originalWords) }
    }

    func checkDisk(_ path: String, isWritable: Bool) throws(HostRefusal) {
        do throws(LinuxError) {
            try Machine.checkDisk(path, isWritable: isWritable)
        } catch { throw HostRefusal(error.originalWords) }
    }

    func contents(of path: String) throws(HostRefusal) -> [UInt8] {
        do throws(LinuxError) {
            // A little more than may be, so that what is too long is seen to be; a pipe is not waited for.
            let file = try open(path, [.readOnly, .nonBlocking])
            return try readBytes(file.number, offset: 0, count: JSONParser.maximumBytes + 1)
        } catch { throw HostRefusal(error.originalWords) }
    }

    func openOutput(_ path: String) throws(HostRefusal) -> Int32 {
        do throws(LinuxError) {
            return try open(path, [.readWrite, .append, .nonBlocking]).release()
        } catch { throw HostRefusal(error.originalWords) }
    }

    func openSnapshot(
        statePath: String, memoryPath: String, isServed: Bool, tree: VirtualMachineConfiguration.MemoryTreeReference?
    ) throws(HostRefusal) -> [UInt8] {
        let files = SnapshotFiles(statePath: statePath, memoryPath: memoryPath)
        do throws(MachineError) {
            let state = try files.readState()
            snapshot = OpenSnapshot(files: files, state: state, isServed: isServed, tree: tree)
            return state.configuration
        } catch { throw HostRefusal("\(error)") }
    }

    func restore(_ configuration: VirtualMachineConfiguration, isPaused: Bool) throws(HostRefusal) {
        guard let snapshot = snapshot.take() else { throw HostRefusal("no snapshot is open") }
        if snapshot.tree != nil { checksMemory = true }
        try start(configuration) { () throws(MachineError) in
            let (files, state) = (snapshot.files, snapshot.state)
            if snapshot.isServed {
                return try Machine(
                    configuration, restoring: state, memoryServedBy: files.memoryPath, metadata: self.metadata,
                    isPaused: isPaused, shell: self.shell.take())
            }
            let machine =
                if let tree = snapshot.tree {
                    try Machine(
                        configuration, restoring: state,
                        checked: files.openMemory(of: state, tree: tree.path, root: tree.root),
                        metadata: self.metadata, isPaused: isPaused, shell: self.shell.take())
                } else {
                    try Machine(
                        configuration, restoring: state, memory: files.openMemory(of: state), metadata: self.metadata,
                        isPaused: isPaused, shell: self.shell.take())
                }
            machine.workingSet = files.readWorkingSet(of: state)
            return machine
        }
    }

    func writeSnapshot(
        statePath: String, memoryPath: String, isDifferential: Bool, configuration: [UInt8]
    ) throws(HostRefusal) {
        let machine = try running()
        do throws(MachineError) {
            _ = try SnapshotFiles(statePath: statePath, memoryPath: memoryPath, in: folder)
                .write(machine, isDifferential ? .differential : .full, configuration: configuration)
        } catch { throw HostRefusal("\(error)") }
    }

    func writeWorkingSet(memoryPath: String) throws(HostRefusal) {
        let machine = try running()
        do throws(MachineError) {
            try SnapshotFiles(statePath: "", memoryPath: memoryPath, in: folder).writeWorkingSet(machine)
        } catch { throw HostRefusal("\(error)") }
    }

    func writeLiveSnapshot(
        statePath: String, memoryPath: String, isDifferential: Bool, configuration: [UInt8]
    ) throws(HostRefusal) -> UInt64 {
        let machine = try running()
        do throws(MachineError) {
            return try SnapshotFiles(statePath: statePath, memoryPath: memoryPath, in: folder)
                .writeLive(machine, isDifferential ? .differential : .full, configuration: configuration)
        } catch { throw HostRefusal("\(error)") }
    }

    func running() throws(HostRefusal) -> Machine {
        guard let machine else { throw HostRefusal("the machine does not run") }
        return machine
    }

    func pressControlAltDelete() throws(HostRefusal) {
        guard try running().pressControlAltDelete() else {
            throw HostRefusal("i8042 internal buffer full.")
        }
    }

    func pause() throws(HostRefusal) { try running().pause() }

    func resume() throws(HostRefusal) {
        let machine = try running()
        do throws(MachineError) { try machine.resume() } catch { throw HostRefusal("\(error)") }
    }

    func replaceDisk(_ identifier: String, path: String) throws(HostRefusal) {
        let machine = try running()
        if folder != nil { throw HostRefusal("The jail lets this machine open no other file.") }
        do throws(LinuxError) { try machine.replaceDisk(identifier, path: path) } catch {
            throw HostRefusal(error.originalWords)
        }
    }

    func setLimits(ofDrive identifier: String, _ limits: RateLimits) throws(HostRefusal) {
        let machine = try running()
        do throws(LinuxError) { try machine.setLimits(ofDrive: identifier, limits) } catch {
            throw HostRefusal(error.originalWords)
        }
    }

    func setLimits(
        ofInterface identifier: String, receive: RateLimits?, transmit: RateLimits?
    ) throws(HostRefusal) {
        let machine = try running()
        do throws(LinuxError) {
            try machine.setLimits(ofInterface: identifier, receive: receive, transmit: transmit)
        } catch { throw HostRefusal(error.originalWords) }
    }

    var balloon: BalloonReport? {
        guard let state = machine?.balloonState else { return nil }
        var report = BalloonReport()
        report.targetPages = state.targetPages
        report.actualPages = state.actualPages
        report.figures = state.figures
        return report
    }

    func setBalloon(mebibytes: UInt32) throws(HostRefusal) {
        guard try running().setBalloon(mebibytes: mebibytes) else { throw HostRefusal("Device not activated yet.") }
    }

    func setBalloonInterval(seconds: UInt32) throws(HostRefusal) { try running().setBalloonInterval(seconds: seconds) }

    func count(_ group: String, _ name: String) -> UInt64 { machine?.count(group, name) ?? 0 }
}

/// A socket that listens, and whose name goes with it.
private final class NamedSocket {
    let path: String
    let listener: FileDescriptor

    init(_ path: String) throws(LinuxError) {
        listener = try UnixSocket.listen(path)
        self.path = path
    }

    deinit { try? removeFile(path) }
}
