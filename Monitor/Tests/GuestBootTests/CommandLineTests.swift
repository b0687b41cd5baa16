import Testing

@testable import GuestBoot

@Suite struct CommandLineTests {
    private let devices = [
        VirtioDeviceWindow(start: 0xd000_0000, interrupt: 5), VirtioDeviceWindow(start: 0xd000_1000, interrupt: 6),
    ]

    @Test func `devices follow the user's arguments in their order`() throws {
        let line = try CommandLine.assemble("console=ttyS0 quiet", devices: devices, maximumBytes: 2047)
        #expect(
            line == "console=ttyS0 quiet virtio_mmio.device=4K@0xd0000000:5 virtio_mmio.device=4K@0xd0001000:6")
        #expect(
            try CommandLine.assemble("", devices: [devices[0]], maximumBytes: 2047)
                == "virtio_mmio.device=4K@0xd0000000:5")
        #expect(try CommandLine.assemble("a  b ", devices: [], maximumBytes: 5) == "a  b ")
    }

    @Test func `devices stand before the first program's arguments`() throws {
        #expect(
            try CommandLine.assemble("quiet -- /bin/sh --", devices: [devices[0]], maximumBytes: 2047)
                == "quiet virtio_mmio.device=4K@0xd0000000:5 -- /bin/sh --")
        #expect(
            try CommandLine.assemble("--", devices: [devices[0]], maximumBytes: 2047)
                == "virtio_mmio.device=4K@0xd0000000:5 --")
        #expect(
            try CommandLine.assemble("a=\"x -- y\" --b", devices: [devices[0]], maximumBytes: 2047)
                == "a=\"x -- y\" --b virtio_mmio.device=4K@0xd0000000:5")
    }

    @Test func `the limit counts the devices`() throws {
        #expect(try CommandLine.assemble("123", devices: [], maximumBytes: 3) == "123")
        #expect(throws: BootError.commandLineTooLong(bytes: 4, maximumBytes: 3)) {
            try CommandLine.assemble("1234", devices: [], maximumBytes: 3)
        }
        #expect(throws: BootError.commandLineTooLong(bytes: 36, maximumBytes: 35)) {
            try CommandLine.assemble("1", devices: [devices[0]], maximumBytes: 35)
        }
    }

    @Test func `a zero byte is refused`() {
        #expect(throws: BootError.commandLineHasZeroByte) {
            try CommandLine.assemble("a\0b", devices: [], maximumBytes: 2047)
        }
    }
}
