import CLinux
import GuestMemory
import KVMHost
public import LinuxCalls
public import MachineConfiguration
import Snapshots
import VirtioDevices

/// Devices that come and go while the guest runs. Of whoever controls the machine, while it is not paused.
///
/// The files come open: nothing is opened by name here.
extension Machine {
    /// Those that it was made with, and those that have come since.
    var devices: [PlatformDevice] { slots.isEmpty ? builtDevices : builtDevices + slots.compactMap { $0.device } }

    /// Puts a disk into a free place. The guest finds it when its driver looks there again.
    /// - Returns: the place's number.
    /// - Throws: `device`, with the reason in words.
    public func attach(
        _ drive: VirtualMachineConfiguration.Drive, _ file: consuming FileDescriptor
    ) throws(MachineError) -> Int {
        for device in devices {
            if case .drive(_, let other) = device.handle, other.id == drive.id { throw Self.taken(drive.id) }
        }
        let backend: BlockBackend
        do throws(LinuxError) {
            if !drive.isReadOnly, try fileControl(file.number, F_GETFL) & O_ACCMODE != O_RDWR {
                throw LinuxError(EBADF)
            }
            backend = try BlockBackend(
                file, isReadOnly: drive.isReadOnly, cache: drive.cacheType == .writeback ? .writeback : .unsafe)
        } catch {
            throw .file(purpose: "drive \"\(drive.id)\"", path: drive.pathOnHost, error)
        }
        let (slot, lines) = try freeSlot()
        return try fill(slot, try assembly.block(drive, backend, lines))
    }

    /// The same for an interface of the host: a TAP device's descriptor.
    public func attach(
        _ interface: VirtualMachineConfiguration.NetworkInterface, _ tap: consuming FileDescriptor
    ) throws(MachineError) -> Int {
        for device in devices {
            if case .interface(_, interface.id) = device.handle { throw Self.taken(interface.id) }
        }
        let name = "network interface \"\(interface.id)\""
        let connected: TapInterface
        do throws(NetError) { connected = try TapInterface(tap) } catch {
            throw .device("\(name): \(error.description)")
        }
        let (slot, lines) = try freeSlot()
        return try fill(slot, try assembly.network(interface, connected, name, lines))
    }

    /// Takes a device away that was attached, whatever its driver does: what is at work is finished, and its file is closed.
    /// - Throws: `device` for one that is not there, or that the machine was made with.
    public func detach(_ identifier: String) throws(MachineError) {
        for slot in slots where slot.device?.identifier == identifier {
            guard let device = slot.take() else { continue }
            // From here on nobody else has it.
            device.letProcessorsGo(false)
            _ = device.end()
            slot.lines?.interrupt.reset()
            return
        }
        throw .device("no device \"\(identifier)\" has been attached")
    }

    /// For a machine that goes on: a device that it had, which is opened by name, before anything runs.
    func attachAgain(_ attached: VirtualMachineConfiguration.Attached) throws(MachineError) {
        guard attached.slot < slots.count else {
            throw .otherMachine("it has \(slots.count) places for attached devices")
        }
        let slot = slots[attached.slot]
        let lines = try prepare(slot)
        let device =
            switch attached.device {
            case .drive(let drive): try assembly.block(drive, assembly.file(of: drive), lines)
            case .interface(let interface): try assembly.network(interface, lines)
            }
        _ = slot.put(device)
    }

    /// How many places a machine has that goes on: as many as it had.
    static func slotCount(_ state: MachineState, of configuration: VirtualMachineConfiguration) -> Int {
        let fixed = configuration.fixedDeviceCount
        return max(0, min(state.devices.count, VirtualMachineConfiguration.maximumDevices) - fixed)
    }

    private static func taken(_ identifier: String) -> MachineError {
        .device("there is a device \"\(identifier)\" already")
    }

    private func freeSlot() throws(MachineError) -> (DeviceSlot, DeviceSlot.Lines) {
        if isPaused { throw .device("the machine is paused") }
        guard let slot = slots.first(where: { $0.device == nil }) else {
            throw .device(
                slots.isEmpty
                    ? "the machine has no places for devices that are attached"
                    : "all \(slots.count) places for devices that are attached are taken")
        }
        return (slot, try prepare(slot))
    }

    private func prepare(_ slot: DeviceSlot) throws(MachineError) -> DeviceSlot.Lines {
        if let lines = slot.lines {
            // What the guest did to the empty place.
            for doorbell in lines.doorbells { doorbell.event.drain() }
            return lines
        }
        let lines: DeviceSlot.Lines
        do throws(LinuxError) { lines = try DeviceSlot.Lines() } catch {
            throw .system(doing: "prepare a place for a device", error)
        }
        do throws(KVMError) { try connect(slot.index, lines.interrupt, lines.doorbells) } catch { throw .kvm(error) }
        slot.lines = lines
        return lines
    }

    private func fill(_ slot: DeviceSlot, _ device: PlatformDevice) throws(MachineError) -> Int {
        do throws(LinuxError) { try device.start(confinement, inherits: true) } catch {
            _ = device.end()
            throw .system(doing: "start a thread", error)
        }
        if slot.put(device) { return slot.index - builtDevices.count }
        _ = device.end()
        throw .device("the machine ends")
    }

    func connect(_ index: Int, _ interrupt: InterruptLine, _ doorbells: [Doorbell]) throws(KVMError) {
        try virtualMachine.connect(
            interrupt.event, toInterrupt: PlatformLayout.firstDeviceInterrupt + UInt32(index))
        let notify = GuestAddress(PlatformLayout.deviceWindow(index) + VirtioMMIOTransport.notifyOffset)
        for (queue, doorbell) in doorbells.enumerated() {
            try virtualMachine.connect(doorbell.event, toWriteAt: notify, value: UInt32(queue))
        }
    }
}
