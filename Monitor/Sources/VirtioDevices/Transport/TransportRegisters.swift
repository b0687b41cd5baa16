/// The register file of one device: what the driver has written and how far it has come.
struct TransportRegisters {
    var status: DeviceStatus = []
    var deviceFeaturesSelect: UInt32 = 0
    var driverFeaturesSelect: UInt32 = 0
    var driverFeatures: UInt64 = 0
    var queueSelect: UInt32 = 0
    var queues: [QueueRegisters]
    /// A thread carries out an activation or a reset; until it is done nothing else changes.
    var isChanging = false
    /// A reset was asked for meanwhile.
    var isResetPending = false

    init(maximumQueueSizes: [UInt16]) { queues = maximumQueueSizes.map { QueueRegisters(maximumSize: $0) } }

    private var selectedIndex: Int? {
        guard let index = Int(exactly: queueSelect), index < queues.count else { return nil }
        return index
    }

    var selectedQueue: QueueRegisters? { selectedIndex.map { queues[$0] } }

    /// Whether the driver may lay out queues now: features agreed, device not yet at work.
    /// Source: virtio 1.3 §3.1.1, step 7.
    private var mayLayOutQueues: Bool {
        !isChanging && status.contains(.featuresOK) && status.isDisjoint(with: [.driverOK, .failed])
    }

    mutating func writeQueue(_ register: VirtioMMIORegister, _ value: UInt32) {
        guard mayLayOutQueues, let index = selectedIndex else { return }
        queues[index].write(register, value)
    }

    /// Marks the selected queue not ready; returns whether it was ready before.
    mutating func stopSelectedQueue() -> Bool {
        guard let index = selectedIndex, queues[index].isReady else { return false }
        queues[index].isReady = false
        return true
    }

    mutating func writeDriverFeatures(_ value: UInt32) {
        guard !isChanging, status.contains(.driver), !status.contains(.featuresOK) else { return }
        switch driverFeaturesSelect {
        case 0: driverFeatures.setLowHalf(value)
        case 1: driverFeatures.setHighHalf(value)
        default: break
        }
    }

    /// As after power-on.
    mutating func clear() {
        status = []
        deviceFeaturesSelect = 0
        driverFeaturesSelect = 0
        driverFeatures = 0
        queueSelect = 0
        for index in queues.indices { queues[index] = QueueRegisters(maximumSize: queues[index].maximumSize) }
    }
}
