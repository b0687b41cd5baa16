import GuestBoot
import GuestMemory
import KVMHost
import LegacyDevices
import LinuxCalls
import MachineConfiguration
public import Snapshots
import VirtioDevices

/// Snapshots of a machine that stands still, and machines made from them.
extension Machine {
    /// Everything but memory.
    /// - Parameter configuration: kept with the state, for who restores it without one of his own.
    public func saveState(configuration: [UInt8] = []) throws(MachineError) -> MachineState {
        guard isPaused else { throw .notPaused }
        var state = MachineState()
        state.identifier = randomBytes(MachineState.identifierBytes)
        state.memoryMebibytes = memory.totalBytes >> 20
        state.configuration = configuration
        do throws(KVMError) {
            state.clockNanoseconds = try virtualMachine.clockNanoseconds()
            let indexes = try shell.system.modelRegisterIndexes()
            for (processor, identification) in zip(processors, identifications) {
                var saved = try processor.withStillProcessor { processor throws(KVMError) in
                    try processor.save(modelRegisters: indexes)
                }
                saved.identification = identification
                state.processors.append(saved)
            }
        } catch { throw .kvm(error) }
        state.platform = bus.save()
        state.serialPort = serialPort?.save()
        for (index, device) in places.enumerated() {
            guard let device else {
                // An empty place: the kind of no device.
                state.devices.append(TransportState())
                continue
            }
            do throws(TransportStateError) {
                state.devices.append(try device.transport.save())
            } catch { throw .deviceState(index: index, error) }
        }
        return state
    }

    /// In the order of their windows, the empty places too.
    private var places: [PlatformDevice?] { builtDevices.map { $0 } + slots.map { $0.device } }

    // MARK: Restoring

    /// Whether a configuration is one of the machine that was saved, as far as that can be told before devices exist.
    static func compare(_ configuration: VirtualMachineConfiguration, _ state: MachineState) throws(MachineError) {
        if configuration.memoryMebibytes != state.memoryMebibytes {
            throw .otherMachine(
                "it has \(state.memoryMebibytes) MiB of memory, and \(configuration.memoryMebibytes) are configured")
        }
        if Int(configuration.virtualCPUCount) != state.processors.count {
            throw .otherMachine(
                "it has \(state.processors.count) processors, and \(configuration.virtualCPUCount) are configured")
        }
        if configuration.console.isEnabled != (state.serialPort != nil) {
            throw .otherMachine(
                state.serialPort == nil
                    ? "it has no serial port, and one is configured" : "it has a serial port, and none is configured")
        }
    }

    /// Has the memory there that was plugged, with all that lay in it, before anybody may look for it: processors and devices have
    /// addresses there.
    ///
    /// It is a copy: what is unplugged is given up, and would be the file's again if that were mapped.
    /// - Parameters:
    ///   - file: the snapshot's memory file; nil when nothing was plugged.
    ///   - image: the same, when each page is checked.
    func plugAgain(
        _ state: MachineState, from file: consuming FileDescriptor?, orChecked image: CheckedImage? = nil
    ) throws(MachineError) {
        var isPlugged = false
        for (index, (device, saved)) in zip(places, state.devices).enumerated() {
            guard case .memory(let memoryDevice) = device?.handle, saved.kind == memoryDevice.kind.rawValue,
                let figures = MemoryFigures(saved.own), figures.pluggedBytes > 0
            else { continue }
            do throws(LinuxError) {
                isPlugged = try memoryDevice.plugAgain(figures)
            } catch { throw .system(doing: "give the guest what was plugged", error) }
            if !isPlugged { throw .deviceState(index: index, .device(.malformed)) }
        }
        guard isPlugged else { return }
        do throws(SnapshotError) {
            if let image { return try image.fillPlugged(of: memory) }
            guard let file = file.take() else { throw .foreignMemory }
            do throws(LinuxError) { try memory.readPlugged(from: file.number) } catch { throw .file(error) }
        } catch { throw .snapshot(error) }
    }

    func restore(_ state: MachineState) throws(MachineError) {
        let present = places
        // A place that is empty in the one and not in the other is as good as a device more or less.
        let fits = zip(present, state.devices).allSatisfy { ($0 == nil) == ($1.kind == 0) }
        guard present.count == state.devices.count, fits else {
            let saved = state.devices.count { $0.kind != 0 }
            throw .otherMachine("it has \(saved) virtio devices, and \(devices.count) are configured")
        }
        try shell.judgeFeatures(state)
        changes = ChangeRecord(since: state.identifier, hadPlugged: memory.pluggedBytes > 0)
        do throws(KVMError) {
            try virtualMachine.setClock(nanoseconds: state.clockNanoseconds)
            try makeProcessors(UInt32(state.processors.count)) { processor throws(KVMError) in
                let saved = state.processors[Int(processor.number)]
                try processor.restore(saved)
                return saved.identification
            }
        } catch { throw .kvm(error) }
        do throws(SnapshotError) {
            for (saved, processor) in zip(state.processors, processors) {
                let now = processor.withStillProcessor { $0.counterKilohertz }
                try ProcessorCompatibility.judge(counterKilohertz: saved.counterKilohertz, now)
            }
        } catch { throw .snapshot(error) }
        // Routes first: a device that goes on may have something to say at once.
        guard bus.restore(state.platform) else { throw .snapshot(.malformed("platform")) }
        if MachineGeneration.renew(randomBytes(MachineGeneration.byteCount), in: memory) { generationChange.signal() }
        for (index, device) in present.enumerated() {
            guard let device else { continue }
            do throws(TransportStateError) {
                try device.transport.restore(state.devices[index])
            } catch { throw .deviceState(index: index, error) }
            if isPaused { device.transport.pause() }
        }
        if let serialPort, let saved = state.serialPort {
            guard serialPort.restore(saved) else { throw .snapshot(.malformed("serial port")) }
            if isPaused { loop.suspend(serialPort) }
        }
    }
}
