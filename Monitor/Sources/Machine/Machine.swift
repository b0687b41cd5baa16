import CLinux
import GuestBoot
import GuestMemory
public import Jail
import KVMHost
import LegacyDevices
import LinuxCalls
public import MachineConfiguration
public import MetadataService
public import Snapshots
import VirtioDevices

/// One microVM, from its configuration to its end.
///
/// The thread that calls `run` serves the devices; each processor has a thread of its own, and each drive too.
public final class Machine: @unchecked Sendable {
    /// For how long devices whose folders' file systems may hold them up for ever are waited for at the end.
    private static let patienceMilliseconds: UInt64 = 2000

    let memory: GuestMemory
    let shell: MachineShell
    var virtualMachine: KVMVirtualMachine { shell.virtualMachine }
    let loop: EventLoop
    /// Those that the machine was made with.
    let builtDevices: [PlatformDevice]
    /// Places for devices that come while it runs.
    let slots: [DeviceSlot]
    /// What makes devices.
    let assembly: DeviceAssembly
    /// What threads that come later enter. Written before `run` serves.
    private(set) var confinement = Confinement.none
    let serialPort: SerialPort?
    let bus: PlatformBus
    let powerButton: PowerButton
    /// Given to KVM as an irqfd.
    let generationChange: EventFile
    private(set) var processors: [ProcessorThread] = []
    private(set) var watches: [any EventHandler] = []
    private let end: EndOfLife
    /// What each processor was told of itself; KVM does not always remember it.
    private(set) var identifications: [[IdentificationLeaf]] = []
    /// See `pause`. Of whoever controls the machine.
    var isPaused: Bool
    /// Who puts pages there that are checked first.
    private let pageServer: PageServer?
    /// For memory of huge pages.
    let hugePages: HugePageServer?
    /// What is done, on another thread, when a page of memory is found not to be what it must be: the machine may do nothing
    /// more then, not even end in order. To be set before `run`.
    public var whenMemoryIsWrong: @Sendable (SnapshotError) -> Void = { error in
        writeToStandardError("swiftlet-vmm: the machine ends at once: snapshot: \(error)\n")
        exitProcess(1)
    }
    /// Pages to have there before the guest asks for them; to be set before `run`.
    public var workingSet: WorkingSet?
    /// What is known of the pages that changed. Of whoever controls the machine.
    var changes: ChangeRecord
    /// Whether this process may look at its own page table (`/proc/self/pagemap`). Without it full snapshots are made, and no
    /// differential one is laid over them. To be set before the first one is made.
    public var seesPageTable = true

    /// Builds the machine up to its first instruction.
    ///
    /// - Parameters:
    ///   - enclosure: entered when everything is open, before the kernel is looked at.
    ///   - metadata: what the guest is told by the interfaces that it names.
    ///   - backends: those of the drives' that have been connected to.
    ///   - shell: one that was made ahead, and that no other machine has been given.
    public convenience init(
        _ configuration: VirtualMachineConfiguration, enclosure: Enclosure = .none, metadata: MetadataStore? = nil,
        backends: [DriveBackend] = [], shell: MachineShell? = nil
    ) throws(MachineError) {
        let memory: GuestMemory
        do throws(LinuxError) {
            memory = try GuestMemory(
                totalBytes: configuration.memoryMebibytes << 20, hasHugePages: configuration.hasHugePages)
        } catch { throw Self.memoryTrouble(configuration, error) }
        try self.init(
            configuration, memory: memory, metadata, backends, isPaused: false, shell,
            slotCount: configuration.slotCount)
        try boot(configuration, enclosure)
        try watch(configuration)
    }

    /// Builds a machine that goes on where another one stood when its snapshot was made.
    ///
    /// - Parameters:
    ///   - configuration: with the same processors, memory and devices as the other machine had; what stands behind
    ///     them on the host may be other files and interfaces. What it says of a kernel is not looked at.
    ///   - isPaused: whether it stands still until `resume`.
    ///   - enclosure: entered when everything is open, before the state is put into devices.
    /// - Throws: before anything has run, when the snapshot, the configuration and this host do not fit together.
    public convenience init(
        _ configuration: VirtualMachineConfiguration, restoring state: MachineState,
        memory image: consuming MemoryImage, metadata: MetadataStore? = nil, isPaused: Bool,
        enclosure: Enclosure = .none, shell: MachineShell? = nil
    ) throws(MachineError) {
        try Self.compare(configuration, state)
        let memory: GuestMemory
        var hugePages: HugePageServer?
        var plugged: FileDescriptor?
        do throws(LinuxError) {
            plugged = try image.pluggedFile()
            if configuration.hasHugePages {
                memory = try GuestMemory(placedBytes: image.memoryBytes, hasHugePages: true)
                hugePages = try HugePageServer(memory, image)
            } else {
                memory = try GuestMemory(image: image)
            }
        } catch { throw Self.memoryTrouble(configuration, error) }
        try self.init(
            configuration, memory: memory, metadata, isPaused: isPaused, shell, hugePages: hugePages,
            slotCount: Self.slotCount(state, of: configuration))
        // A process with threads cannot enter it.
        try Self.enter(enclosure)
        try plugAgain(state, from: plugged)
        do throws(MachineError) {
            if let hugePages {
                do throws(LinuxError) { try hugePages.start() } catch { throw .pagesUnserved(error) }
            }
            try restore(state)
            do throws(SnapshotError) { try hugePages?.check() } catch { throw .snapshot(error) }
            try watch(configuration)
        } catch {
            hugePages?.end()
            throw error
        }
    }

    /// What is missing for the memory.
    private static func memoryTrouble(
        _ configuration: VirtualMachineConfiguration, _ error: LinuxError
    ) -> MachineError {
        if !configuration.hasHugePages { return .memory(mebibytes: configuration.memoryMebibytes, error) }
        if error.number == EPERM || error.number == ENOENT || error.number == EACCES { return .pagesUnserved(error) }
        return .system(
            doing: "\(configuration.memoryMebibytes / 2) huge pages of 2 MiB, of the host's pool (vm.nr_hugepages)",
            error)
    }

    /// The same, when another process puts the pages in their places as they are touched.
    /// - Parameter path: the socket that it listens on. Who answers there decides what the guest's memory is.
    public convenience init(
        _ configuration: VirtualMachineConfiguration, restoring state: MachineState,
        memoryServedBy path: String, metadata: MetadataStore? = nil, isPaused: Bool, shell: MachineShell? = nil
    ) throws(MachineError) {
        try Self.compare(configuration, state)
        guard state.pluggedBytes == 0 else {
            throw .plugged(
                "the snapshot has plugged memory, which a page fault handler cannot put there: load its memory file (File)"
            )
        }
        let memory: GuestMemory
        do throws(LinuxError) {
            memory = try PageServerClient.memory(
                totalBytes: configuration.memoryMebibytes << 20, hasHugePages: configuration.hasHugePages,
                servedBy: path)
        } catch {
            throw .file(purpose: "page fault handler's socket", path: path, error)
        }
        try self.init(
            configuration, memory: memory, metadata, isPaused: isPaused, shell,
            slotCount: Self.slotCount(state, of: configuration))
        try restore(state)
        try watch(configuration)
    }

    /// The same, with each page checked when it is touched first: what is not what the image's root says ends the machine.
    public convenience init(
        _ configuration: VirtualMachineConfiguration, restoring state: MachineState, checked image: CheckedImage,
        metadata: MetadataStore? = nil, isPaused: Bool, enclosure: Enclosure = .none, shell: MachineShell? = nil
    ) throws(MachineError) {
        try Self.compare(configuration, state)
        let memory: GuestMemory
        let server: PageServer
        do throws(LinuxError) {
            memory = try GuestMemory(placedBytes: image.memoryBytes)
            server = try PageServer(memory, image)
        } catch { throw .pagesUnserved(error) }
        try self.init(
            configuration, memory: memory, metadata, isPaused: isPaused, shell, server,
            slotCount: Self.slotCount(state, of: configuration))
        // A process with threads cannot enter it.
        try Self.enter(enclosure)
        // Before there is another thread that reads the image.
        try plugAgain(state, from: nil, orChecked: image)
        do throws(LinuxError) { try server.start() } catch { throw .pagesUnserved(error) }
        do throws(MachineError) {
            try restore(state)
            do throws(SnapshotError) { try server.check() } catch { throw .snapshot(error) }
            try watch(configuration)
        } catch {
            server.end()
            throw error
        }
    }

    private init(
        _ configuration: VirtualMachineConfiguration, memory: GuestMemory, _ metadata: MetadataStore?,
        _ backends: [DriveBackend] = [], isPaused: Bool, _ shell: MachineShell?, _ pageServer: PageServer? = nil,
        hugePages: HugePageServer? = nil, slotCount: Int
    ) throws(MachineError) {
        self.memory = memory
        self.pageServer = pageServer
        self.isPaused = isPaused
        changes = ChangeRecord(isTracking: configuration.isTrackingChanges)
        let shell = if let shell { shell } else { try MachineShell() }
        self.shell = shell
        do throws(LinuxError) {
            try SignalWatch.prepare()
            self.hugePages =
                if let hugePages { hugePages } else { memory.hasHugePages ? try HugePageServer(memory) : nil }
            loop = try EventLoop()
            loop.adopt()
            end = EndOfLife(loop)
            powerButton = try PowerButton()
            generationChange = try EventFile()
            serialPort = try Self.makeSerialPort(configuration.console, loop)
        } catch {
            throw .system(doing: "prepare the console", error)
        }
        assembly = DeviceAssembly(
            memory: memory, loop: loop, virtualMachine: shell.virtualMachine, metadata: metadata,
            backends: backends)
        let devices = try assembly.devices(configuration)
        builtDevices = devices
        slots = (0..<slotCount).map { DeviceSlot(index: devices.count + $0) }
        do throws(KVMError) { try shell.virtualMachine.attach(memory) } catch { throw .kvm(error) }
        do throws(LinuxError) {
            bus = try PlatformBus(
                virtualMachine: shell.virtualMachine, serialPort: serialPort,
                transports: devices.map { $0.transport }, slots: slots)
        } catch { throw .system(doing: "prepare the keyboard", error) }
        do throws(KVMError) { try connectInterrupts() } catch { throw .kvm(error) }
        for each in configuration.attached { try attachAgain(each) }
    }

    private func boot(
        _ configuration: VirtualMachineConfiguration, _ enclosure: Enclosure
    ) throws(MachineError) {
        let files = try BootFiles(configuration.bootSource)
        try Self.enter(enclosure)
        let boot = try files.load(
            configuration, into: memory, deviceCount: builtDevices.count + slots.count, hasConsole: serialPort != nil)
        let count = configuration.virtualCPUCount
        try configuration.processorTemplate?.check(shell)
        do throws(KVMError) {
            try makeProcessors(count) { processor throws(KVMError) in
                let identification = try ProcessorPreparation.prepare(
                    processor, of: count, supported: shell.supported, configuration.processorTemplate)
                if processor.number == 0 { try ProcessorPreparation.enter(processor, boot.processor) }
                return identification
            }
        } catch {
            throw .kvm(error)
        }
        try prefault(boot.sureToBeWritten)
    }

    private static func enter(_ enclosure: Enclosure) throws(MachineError) {
        do throws(LinuxError) {
            for shortfall in try enclosure.enter() { writeToStandardError("swiftlet-vmm: \(shortfall)\n") }
        } catch { throw .system(doing: "give up the rights of this user", error) }
    }

    /// Runs the guest until it ends or is ended, and takes everything down.
    ///
    /// - Parameter confinement: what each thread enters as the first thing it does, the calling one when all are started.
    public func run(_ confinement: Confinement = .none) -> MachineEnd {
        pageServer?.enter(confinement, whenWrong: whenMemoryIsWrong)
        do throws(LinuxError) {
            self.confinement = confinement
            if let hugePages {
                if !hugePages.placesPages { try hugePages.start() }
                hugePages.enter(confinement, whenWrong: whenMemoryIsWrong)
            }
            for device in devices { try device.start(confinement) }
            for processor in processors { try processor.start(confinement) }
            if let set = workingSet.take() {
                if let pageServer {
                    try pageServer.prefetch(set.written.union(set.read))
                } else if let hugePages {
                    if hugePages.placesPages { try hugePages.prefetch(set.written.union(set.read)) }
                } else {
                    try startPrefetch(set, confinement)
                }
            }
        } catch {
            end.reach(.hostFault("start a thread: \(error)"))
        }
        if !confinement.isOpen { limitAddressSpace() }
        confinement.enter(.devices)
        // Also for a guest that has ended already: it returns at once then, and calls into the loop no longer wait for it.
        loop.run()
        for slot in slots { slot.close() }
        let devices = devices
        // The processors may no longer enter the guest when the devices that they wait for let them go.
        for processor in processors { processor.leave() }
        letGoOfPages()
        for device in devices { device.letProcessorsGo(true) }
        for processor in processors { processor.finish() }
        for device in devices { device.letProcessorsGo(false) }
        end(devices)
        pageServer?.end()
        hugePages?.end()
        serialPort?.flush()
        return end.result ?? .requested
    }

    /// Returns when `run` has begun to serve the devices, or is over. Any thread but that one.
    public func waitUntilServed() { loop.perform {} }

    /// Ends the guest, as SIGTERM does. Any thread.
    public func requestEnd() { end.reach(.requested) }

    /// Lets go who waits for pages that will not come. Who waits for one that is checked gets it, or the process ends: what
    /// is to be written may lie on it.
    private func letGoOfPages() {
        if let hugePages {
            if !hugePages.letGo() { whenMemoryIsWrong(.file(.timedOut)) }
            if !hugePages.placesPages { memory.endServing() }
            return
        }
        guard let pageServer else { return memory.endServing() }
        switch pageServer.isFaultless {
        case true?: return
        case nil: whenMemoryIsWrong(.file(.timedOut))
        case false?: break
        }
        memory.endServing()
    }

    /// Those that may hang come last, and are waited for all together for so long at most.
    private func end(_ devices: [PlatformDevice]) {
        for device in devices where !device.mayHang { _ = device.end() }
        var left = Self.patienceMilliseconds
        for device in devices where device.mayHang {
            let begin = Clock.monotonic.nanoseconds()
            if let folder = device.end(patienceMilliseconds: left) {
                writeToStandardError("swiftlet-vmm: \(folder): does not answer; the machine ends without this folder\n")
            }
            left -= min(left, (Clock.monotonic.nanoseconds() - begin) / 1_000_000)
        }
    }

    // MARK: Building

    private static func makeSerialPort(
        _ console: VirtualMachineConfiguration.Console, _ loop: EventLoop
    ) throws(LinuxError) -> SerialPort? {
        guard console.isEnabled else { return nil }
        return try SerialPort(loop: loop, input: console.inputDescriptor, output: console.outputDescriptor)
    }

    private func connectInterrupts() throws(KVMError) {
        if let serialPort {
            try virtualMachine.connect(serialPort.interrupt, toInterrupt: PlatformLayout.serialInterrupt)
        }
        try virtualMachine.connect(bus.keyboardInterrupt, toInterrupt: PlatformLayout.keyboardInterrupt)
        try virtualMachine.connect(powerButton.event, toInterrupt: PlatformLayout.powerButtonInterrupt)
        try virtualMachine.connect(generationChange, toInterrupt: PlatformLayout.generationInterrupt)
        for (index, device) in builtDevices.enumerated() {
            try connect(index, device.transport.interrupt, device.transport.doorbells)
        }
    }

    /// - Parameter prepare: puts each processor into the state in which it begins, and returns what it is told of itself.
    func makeProcessors(
        _ count: UInt32, prepare: (borrowing KVMVirtualCPU) throws(KVMError) -> [IdentificationLeaf]
    ) throws(KVMError) {
        for number in 0..<count {
            let processor = try shell.makeProcessor(number)
            identifications.append(try prepare(processor))
            processors.append(
                ProcessorThread(processor, bus: bus, memory: memory, isHeld: isPaused) { [end] in end.reach($0) })
        }
    }

    private func watch(_ configuration: VirtualMachineConfiguration) throws(MachineError) {
        let end = end
        let powerButton = powerButton
        do throws(LinuxError) {
            watches.append(
                try SignalWatch(loop, stop: { end.reach(.requested) }, press: { powerButton.press() }))
            if let descriptor = configuration.lifelineDescriptor {
                watches.append(try LifelineWatch(loop, descriptor) { end.reach(.requested) })
            }
            watches.append(try StandstillWatch(loop, processors) { end.reach(.halted) })
        } catch {
            throw .system(doing: "watch for the machine's end", error)
        }
    }

    private func prefault(_ ranges: [GuestRange]) throws(MachineError) {
        do throws(LinuxError) {
            try Prefault.start(ranges, of: memory, on: loop)
        } catch {
            throw .system(doing: "prepare the guest's pages", error)
        }
    }
}
