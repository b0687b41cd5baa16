public import KVMHost
public import LegacyDevices
public import VirtioDevices

/// Everything of a machine that stands still, but its memory.
///
/// Trust: one that was read from a file is whole and well-formed, no more; KVM and each device judge what they are given.
public struct MachineState: Equatable, Sendable {
    /// What a memory image and its state have in common, and nothing else has; random.
    public static let identifierBytes = 16

    /// Of the format that holds it: the oldest that can.
    public var majorVersion: UInt16 { pluggedBytes == 0 ? SnapshotFormat.oldestMajor : SnapshotFormat.major }
    /// Of the format that it was read from.
    public internal(set) var minorVersion = SnapshotFormat.minor
    public var identifier: [UInt8] = []
    public var memoryMebibytes: UInt64 = 0
    /// What the guest's KVM clock showed.
    public var clockNanoseconds: UInt64 = 0
    /// The machine's configuration as JSON, for who restores it without one of his own; may be empty.
    public var configuration: [UInt8] = []
    public var processors: [ProcessorState] = []
    /// In the order of their windows.
    public var devices: [TransportState] = []
    public var platform = PlatformState()
    /// Nil: the machine has no serial port.
    public var serialPort: SerialPortState?

    public init() {}

    /// How much memory is plugged; nil when what a memory device says of itself makes no sense.
    public var pluggedBytes: UInt64? {
        var bytes: UInt64 = 0
        for device in devices where device.kind == VirtioDeviceKind.memory.rawValue {
            guard let figures = MemoryFigures(device.own) else { return nil }
            // Each has at most 512 GiB.
            bytes &+= figures.pluggedBytes
        }
        return bytes
    }
}

/// The state of what is neither a processor nor a virtio device; each list is its device's own (`figures`).
public struct PlatformState: Equatable, Sendable {
    public var interruptController: [UInt64] = []
    public var keyboardController: [UInt64] = []
    public var realTimeClock: [UInt64] = []

    public init() {}
}
