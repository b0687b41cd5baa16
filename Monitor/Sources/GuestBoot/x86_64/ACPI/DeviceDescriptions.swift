/// The devices that ACPI tells of, in its machine language.
struct DeviceDescriptions {
    var platform: PlatformDescription

    var bytes: [UInt8] {
        var devices: [UInt8] = []
        for (index, device) in platform.virtioDevices.enumerated() { devices += Self.virtio(device, index) }
        if let port = platform.serialPort { devices += Self.serial(port) }
        if platform.announcesKeyboardController { devices += Self.keyboard }
        if let interrupt = platform.powerButtonInterrupt { devices += Self.powerButton(interrupt) }
        if let interrupt = platform.generationInterrupt { devices += Self.generation(interrupt) }
        // Power-off is sleep type 5, the only state there is.
        let powerOff = AML.package(elements: [
            AML.integer(UInt64(PowerPorts.powerOffType)), AML.integer(0), AML.integer(0), AML.integer(0),
        ])
        return AML.scope("\\_SB_", devices) + AML.name("\\_S5_", powerOff)
    }

    /// A virtio-mmio transport.
    /// Source: Linux drivers/virtio/virtio_mmio.c, virtio_mmio_acpi_match.
    private static func virtio(_ device: VirtioDeviceWindow, _ index: Int) -> [UInt8] {
        AML.device(
            [UInt8(ascii: "V")] + digits(index),
            AML.name("_HID", AML.string("LNRO0005"))
                + AML.name("_UID", AML.integer(UInt64(index)))
                // Its accesses to memory are coherent with the processors' caches.
                + AML.name("_CCA", AML.integer(1))
                + AML.name(
                    "_CRS",
                    AML.resources(
                        AML.memory(start: device.start, lengthBytes: device.lengthBytes)
                            + AML.interrupt(device.interrupt))))
    }

    private static func serial(_ port: SerialPortDescription) -> [UInt8] {
        AML.device(
            Array("COM1".utf8),
            AML.name("_HID", AML.plugAndPlayIdentifier("PNP0501"))
                + AML.name("_UID", AML.integer(0))
                + AML.name(
                    "_CRS", AML.resources(AML.ports(first: port.firstPort, count: 8) + AML.interrupt(port.interrupt))))
    }

    /// Source: Linux drivers/input/serio/i8042-acpipnpio.h, which wants both ports and the interrupt.
    private static var keyboard: [UInt8] {
        AML.device(
            Array("PS2K".utf8),
            AML.name("_HID", AML.plugAndPlayIdentifier("PNP0303"))
                + AML.name(
                    "_CRS",
                    AML.resources(
                        AML.ports(first: 0x60, count: 1) + AML.ports(first: 0x64, count: 1) + AML.interrupt(1))))
    }

    /// The button, and the device that tells of its press by an interrupt.
    /// Source: ACPI 6.5 §4.8.2.2.1.2 (control method power button), §5.6.9 (generic event device).
    private static func powerButton(_ interrupt: UInt32) -> [UInt8] {
        AML.device(
            Array("PWRB".utf8),
            AML.name("_HID", AML.plugAndPlayIdentifier("PNP0C0C")) + AML.name("_UID", AML.integer(0)))
            + events(0, interrupt, notifying: "\\_SB_.PWRB")
    }

    /// Where the generation lies, and the device that tells of its change.
    /// Source: Microsoft, Virtual Machine Generation ID; Linux drivers/virt/vmgenid.c.
    private static func generation(_ interrupt: UInt32) -> [UInt8] {
        AML.device(
            Array("VGEN".utf8),
            AML.name("_HID", AML.string("SWLT0001"))
                + AML.name("_CID", AML.string("VM_Gen_Counter"))
                + AML.name("_DDN", AML.string("VM_Gen_Counter"))
                + AML.name(
                    "ADDR", AML.package(elements: [AML.integer(LowMemoryLayout.generation), AML.integer(0)])))
            + events(1, interrupt, notifying: "\\_SB_.VGEN")
    }

    /// A generic event device with one interrupt. Source: ACPI 6.5 §5.6.9.
    private static func events(_ index: UInt8, _ interrupt: UInt32, notifying object: String) -> [UInt8] {
        AML.device(
            Array("GED".utf8) + [UInt8(ascii: "0") + index],
            AML.name("_HID", AML.string("ACPI0013"))
                + AML.name("_UID", AML.integer(UInt64(index)))
                + AML.name("_CRS", AML.resources(AML.interrupt(interrupt)))
                + AML.serializedMethod("_EVT", argumentCount: 1, AML.notify(object, 0x80)))
    }

    /// Three hexadecimal digits.
    private static func digits(_ index: Int) -> [UInt8] {
        let digits = Array("0123456789ABCDEF".utf8)
        return [digits[index >> 8 & 15], digits[index >> 4 & 15], digits[index & 15]]
    }
}
