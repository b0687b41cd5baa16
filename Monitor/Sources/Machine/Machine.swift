import GuestBoot
import GuestMemory
import KVMHost
import LegacyDevices
import LinuxCalls
public import MachineConfiguration
import VirtioDevices

/// One microVM, from its configuration to its end.
///
/// The thread that calls `run` serves the devices; each processor has a thread of its own, and each drive too.
public final class Machine: @unchecked Sendable {
    private let memory: GuestMemory
    private let system: KVMSystem
    private let virtualMachine: KVMVirtualMachine
    private let loop: EventLoop
    private let devices: [PlatformDevice]
    private let serialPort: SerialPort?
    private let powerButton: PowerButton
    private var processors: [ProcessorThread] = []
    private var watches: [any EventHandler] = []
    private let end: EndOfLife

    /// Builds the machine up to its first instruction.
    public init(_ configuration: VirtualMachineConfiguration) throws(MachineError) {
        do throws(KVMError) { system = try KVMSystem() } catch { throw .kvmUnavailable(error) }
        do throws(LinuxError) {
            memory = try GuestMemory(totalBytes: configuration.memoryMebibytes << 20)
        } catch {
            throw .memory(mebibytes: configuration.memoryMebibytes, error)
        }
        do throws(LinuxError) {
            try SignalWatch.prepare()
            loop = try EventLoop()
            end = EndOfLife(loop)
            powerButton = try PowerButton()
            serialPort = try Self.makeSerialPort(configuration.console, loop)
        } catch {
            throw .system(doing: "prepare the console", error)
        }
        devices = try DeviceAssembly(memory: memory, loop: loop).devices(configuration)
        let kernel = try BootFiles(configuration.bootSource)
        do throws(KVMError) {
            virtualMachine = try system.makeVirtualMachine()
            // In this order: an interrupt controller that is there first makes attaching memory slow.
            try virtualMachine.attach(memory)
            try virtualMachine.enableSplitInterruptController(pins: UInt32(IOInterruptController.pins))
            try virtualMachine.setTaskStateAddress(PlatformLayout.taskState)
            try connectInterrupts()
        } catch {
            throw .kvm(error)
        }
        let boot = try kernel.load(
            configuration, into: memory, deviceCount: devices.count, hasConsole: serialPort != nil)
        do throws(KVMError) {
            try makeProcessors(configuration.virtualCPUCount, boot.processor)
        } catch {
            throw .kvm(error)
        }
        try watch(configuration)
        try prefault(boot.sureToBeWritten)
    }

    /// Runs the guest until it ends or is ended, and takes everything down.
    public func run() -> MachineEnd {
        for processor in processors {
            do throws(LinuxError) {
                try processor.start()
            } catch {
                end.reach(.hostFault("start a processor's thread: \(error)"))
                break
            }
        }
        // Also for a guest that has ended already: it returns at once then, and calls into the loop no longer wait for it.
        loop.run()
        for processor in processors { processor.finish() }
        for device in devices { device.end() }
        serialPort?.flush()
        return end.result ?? .requested
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
        try virtualMachine.connect(powerButton.event, toInterrupt: PlatformLayout.powerButtonInterrupt)
        for (index, device) in devices.enumerated() {
            let transport = device.transport
            try virtualMachine.connect(
                transport.interrupt.event, toInterrupt: PlatformLayout.firstDeviceInterrupt + UInt32(index))
            let notify = GuestAddress(
                PlatformLayout.deviceWindow(index) + VirtioMMIOTransport.notifyOffset)
            for (queue, doorbell) in transport.doorbells.enumerated() {
                try virtualMachine.connect(doorbell.event, toWriteAt: notify, value: UInt32(queue))
            }
        }
    }

    private func makeProcessors(_ count: UInt32, _ state: InitialProcessorState) throws(KVMError) {
        let bus = PlatformBus(
            virtualMachine: virtualMachine, serialPort: serialPort, transports: devices.map { $0.transport })
        for number in 0..<count {
            let processor = try virtualMachine.makeVirtualCPU(number)
            try ProcessorPreparation.prepare(processor, of: count, on: system)
            if number == 0 { try ProcessorPreparation.enter(processor, state) }
            processors.append(
                ProcessorThread(processor, bus: bus, memory: memory) { [end] in end.reach($0) })
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

/// The power button of a machine with ACPI; what the guest does about it is its own affair.
final class PowerButton: Sendable {
    /// Given to KVM as an irqfd.
    let event: EventFile

    init() throws(LinuxError) { event = try EventFile() }

    func press() { event.signal() }
}

/// The one place where a machine's end is decided: the first reason given is the one that counts. Any thread.
final class EndOfLife: @unchecked Sendable {
    private let lock = FutexLock()
    private var reached: MachineEnd?
    private let loop: EventLoop

    init(_ loop: EventLoop) { self.loop = loop }

    func reach(_ end: MachineEnd) {
        lock.withLock { if reached == nil { reached = end } }
        loop.stop()
    }

    var result: MachineEnd? { lock.withLock { reached } }
}
