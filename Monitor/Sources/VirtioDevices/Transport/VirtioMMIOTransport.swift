public import GuestMemory
public import LinuxCalls
import VirtioQueues

/// A virtio device's register window in the guest's address space, 4 KiB, version 2 of the virtio-mmio layout.
///
/// Any processor thread may access it at any time, several at once. The register file is guarded by a lock that is never
/// held over a system call or while the device's thread is waited for. DRIVER_OK and reset are carried out on the
/// device's thread, and the access that asked for them returns when they are done.
/// Trust: every offset, width and value is the guest's. What makes no sense is ignored; reads of it give zero.
/// Source: virtio 1.3 §4.2.
public final class VirtioMMIOTransport: @unchecked Sendable {
    /// The window's length.
    public static let windowBytes: UInt64 = 0x1000
    /// Where the driver writes a queue's number to notify. A write that KVM turns into a signal of `doorbells[number]`
    /// (ioeventfd: 4 bytes wide, matching that number) never comes here; one that does come has the same effect.
    public static let notifyOffset: UInt64 = 0x050

    public let device: any VirtioDevice
    /// One for each queue, by its number.
    public let doorbells: [Doorbell]
    /// The device's interrupt: its `event` is for KVM (irqfd).
    public let interrupt: InterruptLine

    let memory: GuestMemory
    let offeredFeatures: UInt64
    let lock = FutexLock()
    /// Guarded by `lock`.
    var registers: TransportRegisters

    public convenience init(device: any VirtioDevice, memory: GuestMemory) throws(LinuxError) {
        var doorbells: [Doorbell] = []
        for _ in device.maximumQueueSizes { doorbells.append(try Doorbell()) }
        self.init(device: device, memory: memory, interrupt: try InterruptLine(), doorbells: doorbells)
    }

    /// - Parameter doorbells: at least one for each queue; the others are nobody's.
    public init(
        device: any VirtioDevice, memory: GuestMemory, interrupt: InterruptLine, doorbells: [Doorbell]
    ) {
        self.device = device
        self.memory = memory
        self.interrupt = interrupt
        self.doorbells = Array(doorbells.prefix(device.maximumQueueSizes.count))
        offeredFeatures = device.offeredFeatures | QueueFeatures.version1
        registers = TransportRegisters(maximumQueueSizes: device.maximumQueueSizes)
    }

    /// What the driver reads where there is no device: the DeviceID is zero. Source: virtio 1.3 §4.2.2.2.
    public static func readEmpty(offset: UInt64, width: UInt32) -> UInt64 {
        guard width == 4 else { return 0 }
        return switch VirtioMMIORegister(rawValue: offset) {
        case .magicValue: UInt64(magic)
        case .version: UInt64(layoutVersion)
        default: 0
        }
    }

    private static let magic: UInt32 = 0x7472_6976  // "virt"
    private static let layoutVersion: UInt32 = 2

    /// What the driver reads at `offset`; `width` is 1, 2, 4 or 8 bytes.
    public func read(offset: UInt64, width: UInt32) -> UInt64 {
        if offset >= VirtioMMIORegister.configurationSpace { return readConfiguration(offset, width) }
        // Control registers are accessed as a whole only. Source: virtio 1.3 §4.2.2.2.
        guard width == 4, let register = VirtioMMIORegister(rawValue: offset) else { return 0 }
        return UInt64(read(register))
    }

    /// Takes what the driver writes at `offset`; `width` is 1, 2, 4 or 8 bytes.
    public func write(offset: UInt64, width: UInt32, value: UInt64) {
        if offset >= VirtioMMIORegister.configurationSpace { return writeConfiguration(offset, width, value) }
        guard width == 4, let register = VirtioMMIORegister(rawValue: offset) else { return }
        write(register, UInt32(truncatingIfNeeded: value))
    }

    private func read(_ register: VirtioMMIORegister) -> UInt32 {
        switch register {
        case .magicValue: Self.magic
        case .version: Self.layoutVersion
        case .deviceID: device.kind.rawValue
        case .vendorID: 0x544c_5753  // "SWLT"
        case .interruptStatus: interrupt.pendingReasons
        case .configurationGeneration: interrupt.configurationGeneration
        case .status: UInt32(status.rawValue)
        // A region that does not exist has the length -1. Source: virtio 1.3 §4.2.2.1.
        case .sharedMemoryLengthLow, .sharedMemoryLengthHigh, .sharedMemoryBaseLow, .sharedMemoryBaseHigh: .max
        case .deviceFeatures:
            switch lock.withLock({ registers.deviceFeaturesSelect }) {
            case 0: UInt32(truncatingIfNeeded: offeredFeatures)
            case 1: UInt32(truncatingIfNeeded: offeredFeatures >> 32)
            default: 0
            }
        case .queueSizeMaximum: lock.withLock { registers.selectedQueue.map { UInt32($0.maximumSize) } ?? 0 }
        case .queueReady: lock.withLock { registers.selectedQueue?.isReady == true ? 1 : 0 }
        default: 0
        }
    }

    private func write(_ register: VirtioMMIORegister, _ value: UInt32) {
        switch register {
        case .deviceFeaturesSelect: lock.withLock { registers.deviceFeaturesSelect = value }
        case .driverFeaturesSelect: lock.withLock { registers.driverFeaturesSelect = value }
        case .driverFeatures: lock.withLock { registers.writeDriverFeatures(value) }
        case .queueSelect: lock.withLock { registers.queueSelect = value }
        case .queueNotify:
            if let index = Int(exactly: value), index < doorbells.count { doorbells[index].event.signal() }
        case .interruptAcknowledge: interrupt.acknowledge(value)
        case .status: writeStatus(DeviceStatus(rawValue: UInt8(truncatingIfNeeded: value)))
        case .queueReady where value & 1 == 0: stopQueue()
        case .queueSize, .queueReady, .queueDescriptorLow, .queueDescriptorHigh, .queueDriverLow, .queueDriverHigh,
            .queueDeviceLow, .queueDeviceHigh:
            lock.withLock { registers.writeQueue(register, value) }
        default: break
        }
    }

    private func readConfiguration(_ offset: UInt64, _ width: UInt32) -> UInt64 {
        guard offset < Self.windowBytes else { return 0 }
        let place = UInt32(truncatingIfNeeded: offset &- VirtioMMIORegister.configurationSpace)
        switch width {
        case 1, 2, 4: return UInt64(device.readConfiguration(offset: place, width: width))
        case 8:
            let low = device.readConfiguration(offset: place, width: 4)
            return UInt64(low) | UInt64(device.readConfiguration(offset: place &+ 4, width: 4)) << 32
        default: return 0
        }
    }

    private func writeConfiguration(_ offset: UInt64, _ width: UInt32, _ value: UInt64) {
        guard offset < Self.windowBytes, lock.withLock({ registers.status.contains(.driver) }) else { return }
        let place = UInt32(truncatingIfNeeded: offset &- VirtioMMIORegister.configurationSpace)
        let low = UInt32(truncatingIfNeeded: value)
        switch width {
        case 1: device.writeConfiguration(offset: place, width: 1, value: low & 0xff)
        case 2: device.writeConfiguration(offset: place, width: 2, value: low & 0xffff)
        case 4: device.writeConfiguration(offset: place, width: 4, value: low)
        case 8:
            device.writeConfiguration(offset: place, width: 4, value: low)
            device.writeConfiguration(offset: place &+ 4, width: 4, value: UInt32(truncatingIfNeeded: value >> 32))
        default: break
        }
    }
}
