/// The machine as the guest shall find it: what firmware tables say.
public struct PlatformDescription: Equatable, Sendable {
    /// The local APIC identifier of each processor; the first is the one that boots. 1 to 32.
    public var processorIdentifiers: [UInt32]
    /// In the order in which the guest shall name them.
    public var virtioDevices: [VirtioDeviceWindow]
    public var serialPort: SerialPortDescription?
    /// The interrupt by which the power button's press is told; nil for no button.
    public var powerButtonInterrupt: UInt32?
    /// The interrupt by which a change of the machine's generation is told; nil for no generation.
    public var generationInterrupt: UInt32?
    /// The ports of sleep control, sleep status and reset.
    public var powerPorts: PowerPorts
    /// Whether ACPI tells of a keyboard controller. A kernel that is told looks for keyboards behind it, which takes
    /// time; resetting through it works without.
    public var announcesKeyboardController = false

    public init(
        processorIdentifiers: [UInt32], virtioDevices: [VirtioDeviceWindow] = [],
        serialPort: SerialPortDescription? = SerialPortDescription(), powerButtonInterrupt: UInt32? = nil,
        generationInterrupt: UInt32? = nil, powerPorts: PowerPorts = PowerPorts()
    ) {
        self.processorIdentifiers = processorIdentifiers
        self.virtioDevices = virtioDevices
        self.serialPort = serialPort
        self.powerButtonInterrupt = powerButtonInterrupt
        self.generationInterrupt = generationInterrupt
        self.powerPorts = powerPorts
    }
}

/// The registers of one virtio-mmio device, and its interrupt.
public struct VirtioDeviceWindow: Equatable, Sendable {
    /// Below 4 GiB.
    public var start: UInt32
    public var lengthBytes: UInt32
    /// Global system interrupt, edge-triggered, active high.
    public var interrupt: UInt32

    public init(start: UInt32, lengthBytes: UInt32 = 4096, interrupt: UInt32) {
        self.start = start
        self.lengthBytes = lengthBytes
        self.interrupt = interrupt
    }
}

/// A 16550 on I/O ports.
public struct SerialPortDescription: Equatable, Sendable {
    public var firstPort: UInt16
    public var interrupt: UInt32

    public init(firstPort: UInt16 = 0x3f8, interrupt: UInt32 = 4) {
        self.firstPort = firstPort
        self.interrupt = interrupt
    }
}

/// Where hardware-reduced ACPI powers off and resets: three ports, one byte wide each.
///
/// The guest powers off by what `isPowerOff` knows, written to `sleepControl`, and resets by writing `resetValue` to `reset`.
/// Source: ACPI 6.5 §4.8.3.7 (sleep control and status), §4.8.3.6 (reset).
public struct PowerPorts: Equatable, Sendable {
    public var sleepControl: UInt16
    public var sleepStatus: UInt16
    public var reset: UInt16
    public var resetValue: UInt8

    public init(
        sleepControl: UInt16 = 0x600, sleepStatus: UInt16 = 0x601, reset: UInt16 = 0x602, resetValue: UInt8 = 1
    ) {
        self.sleepControl = sleepControl
        self.sleepStatus = sleepStatus
        self.reset = reset
        self.resetValue = resetValue
    }

    /// Whether a byte written to `sleepControl` powers off: that type in bits 2 to 4, "enable" in bit 5.
    public static func isPowerOff(_ command: UInt8) -> Bool { command & 0x3c == powerOffType << 2 | 0x20 }

    /// The sleep type that means power-off (`\_S5`).
    public static let powerOffType: UInt8 = 5
}
