import LegacyDevices
import Testing

@Suite struct KeyboardControllerTests {
    @Test func `the reset command resets, and the self-test answers`() {
        var controller = KeyboardController()
        #expect(controller.write(isCommand: true, 0xfe) == .reset)
        #expect(controller.write(isCommand: true, 0xaa) == .none)
        #expect(controller.read(isStatus: true) & 1 == 1)
        #expect(controller.read(isStatus: false) == 0x55)
        #expect(controller.read(isStatus: true) & 1 == 0)
    }

    @Test func `the output port's reset line resets when it is low`() {
        var controller = KeyboardController()
        _ = controller.write(isCommand: true, 0xd1)
        #expect(controller.write(isCommand: false, 0x03) == .none)
        _ = controller.write(isCommand: true, 0xd1)
        #expect(controller.write(isCommand: false, 0x02) == .reset)
    }

    private func listening() -> KeyboardController {
        var controller = KeyboardController()
        _ = controller.write(isCommand: true, 0x60)
        _ = controller.write(isCommand: false, 0x01)
        return controller
    }

    @Test func `keys are heard by a guest that listens, one byte after the other`() {
        var controller = KeyboardController()
        #expect(controller.press() == .unheard && !controller.isPending)
        controller = listening()
        #expect(controller.press() == .interrupt)
        for byte: UInt8 in [0x14, 0x11, 0xe0, 0x71] {
            #expect(controller.isPending && controller.read(isStatus: true) & 1 == 1)
            #expect(controller.read(isStatus: false) == byte)
        }
        #expect(!controller.isPending && controller.read(isStatus: false) == 0)
    }

    @Test func `keys that nobody reads are refused, and a snapshot keeps the others`() throws {
        var controller = listening()
        for _ in 0..<4 { #expect(controller.press() == .interrupt) }
        #expect(controller.press() == .full)
        var copy = try #require(KeyboardController(figures: controller.figures))
        #expect(copy.figures == controller.figures && copy.press() == .full)
        #expect((0..<16).map { _ in copy.read(isStatus: false) }.suffix(4) == [0x14, 0x11, 0xe0, 0x71])
        #expect(copy.press() == .interrupt)
    }

    @Test func `the keyboard agrees with what it is told`() {
        var controller = listening()
        #expect(controller.write(isCommand: false, 0xed) == .interrupt)
        #expect(controller.read(isStatus: false) == 0xfa)
    }

    private static let noStates: [[UInt64]] = [
        [], [4, 256], [256, 256, 256], [4, 257, 256], [4, 256, 257], [4, 256, 256, 1], [4, 1, 256, 256],
        [4, 1, 256] + [UInt64](repeating: 1, count: 16),
    ]
    @Test(arguments: noStates)
    func `what is no keyboard controller's state is refused`(_ figures: [UInt64]) {
        #expect(KeyboardController(figures: figures) == nil)
    }

    @Test func `a state of before there were keys is read`() throws {
        var controller = try #require(KeyboardController(figures: [5, 0x55, 256]))
        #expect(controller.read(isStatus: false) == 0x55 && controller.press() == .interrupt)
    }
}

@Suite struct RealTimeClockTests {
    private func field(_ seconds: UInt64, _ index: UInt8) -> UInt8 {
        var clock = RealTimeClock(now: { seconds })
        clock.write(isIndex: true, index)
        return clock.read(isIndex: false)
    }

    @Test func `a leap day is told in decimal digits`() {
        // 2024-02-29 23:59:58 UTC, a Thursday.
        let seconds: UInt64 = 1_709_251_198
        let fields = [0x00, 0x02, 0x04, 0x06, 0x07, 0x08, 0x09, 0x32].map { field(seconds, UInt8($0)) }
        #expect(fields == [0x58, 0x59, 0x23, 0x05, 0x29, 0x02, 0x24, 0x20])
        #expect(field(seconds + 2, 0x07) == 0x01)
        #expect(field(seconds + 2, 0x08) == 0x03)
    }

    @Test func `the first day is the first of January 1970`() {
        #expect([field(0, 0x07), field(0, 0x08), field(0, 0x09), field(0, 0x32)] == [0x01, 0x01, 0x70, 0x19])
    }

    @Test func `a register that is none reads as zero`() {
        for index in UInt8(0x40)...0x7f { #expect(field(0, index) == 0) }
    }
}

@Suite struct IOInterruptControllerTests {
    private func writeEntry(_ controller: inout IOInterruptController, _ pin: Int, _ value: UInt64) -> Bool {
        var hasChanged = false
        for half in 0..<2 {
            _ = controller.write(0, UInt32(0x10 + pin * 2 + half))
            hasChanged = controller.write(0x10, UInt32(truncatingIfNeeded: value >> (32 * half))) || hasChanged
        }
        return hasChanged
    }

    @Test func `all pins begin masked`() {
        #expect(IOInterruptController().messages.isEmpty)
    }

    @Test func `an unmasked pin sends its vector to its processor`() {
        var controller = IOInterruptController()
        #expect(writeEntry(&controller, 5, 0x0300_0000_0000_0031))
        #expect(
            controller.messages == [IOInterruptController.Message(pin: 5, address: 0xfee0_3000, data: 0x31)])
        #expect(writeEntry(&controller, 5, 0x0300_0000_0001_0031))
        #expect(controller.messages.isEmpty)
    }

    @Test func `what is written while masked changes no message`() {
        var controller = IOInterruptController()
        #expect(!writeEntry(&controller, 7, 0x0100_0000_0001_0040))
    }

    @Test func `version and count are told`() {
        var controller = IOInterruptController()
        _ = controller.write(0, 1)
        #expect(controller.read(0x10) == 0x0017_0011)
    }

    @Test func `nonsense in every register is harmless`() {
        var controller = IOInterruptController()
        for offset in stride(from: UInt64(0), to: 4096, by: 4) {
            for value in [UInt32.max, 0x55aa_55aa, 0x3f, 0x40, 0xff] {
                _ = controller.write(offset, value)
                _ = controller.write(0x10, value)
                _ = controller.read(offset)
            }
        }
        #expect(controller.messages.count <= IOInterruptController.pins)
    }
}
