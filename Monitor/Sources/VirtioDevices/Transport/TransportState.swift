public import VirtioQueues

/// Everything of one virtio device that a snapshot keeps: its registers, its queues' positions, its own figures.
///
/// Trust: when it comes from a file, nothing in it is believed; `VirtioMMIOTransport.restore` judges it.
public struct TransportState: Equatable, Sendable {
    public struct Queue: Equatable, Sendable {
        public var size: UInt32 = 0
        public var isReady = false
        public var descriptorTable: UInt64 = 0
        public var availableRing: UInt64 = 0
        public var usedRing: UInt64 = 0
        public var position = QueuePosition()

        public init() {}
    }

    /// The device's number. Source: virtio 1.3 §5.
    public var kind: UInt32 = 0
    public var status: UInt8 = 0
    public var deviceFeaturesSelect: UInt32 = 0
    public var driverFeaturesSelect: UInt32 = 0
    public var driverFeatures: UInt64 = 0
    public var queueSelect: UInt32 = 0
    public var pendingReasons: UInt32 = 0
    public var configurationGeneration: UInt32 = 0
    public var isResetNeeded = false
    public var queues: [Queue] = []
    /// See `VirtioDevice.ownState`.
    public var own: [UInt64] = []

    public init() {}
}

/// Why a device's state cannot be kept, or cannot be this device's.
public enum TransportStateError: Error, Equatable, Sendable {
    /// The device holds what no snapshot can keep.
    case cannotBeKept(VirtioDeviceKind)
    /// Another kind of device stands in its place.
    case kind(saved: UInt32, now: VirtioDeviceKind)
    /// The driver uses features that the device does not offer now.
    case features(UInt64)
    /// The device has other queues.
    case queues
    /// What no driver and no device ever leaves behind.
    case malformed
    case device(DeviceStateError)
}

extension TransportStateError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .cannotBeKept(.block):
            "its requests are another process's (vhost-user), which no snapshot keeps; make the machine without that drive"
        case .cannotBeKept: "it holds open files, which no snapshot keeps; make the machine without shared folders"
        case .kind(let saved, let now):
            "it is a virtio device of kind \(saved), and one of kind \(now.rawValue) is configured"
        case .features(let missing):
            "its driver uses what the device does not offer now: feature bit \(missing.trailingZeroBitCount)"
        case .queues: "it has another number of queues"
        case .malformed: "its registers are those of no device"
        case .device(.malformed): "its figures are those of no device"
        case .device(.capacity(let saved, let now)): "the disk had \(saved) sectors, and has \(now) now"
        }
    }
}
