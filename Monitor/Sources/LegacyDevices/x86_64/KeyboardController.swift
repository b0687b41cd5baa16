/// The 8042 keyboard controller, as far as kernels use it without a keyboard: it answers their questions and resets the
/// machine. Ports 0x60 (data) and 0x64 (status, command). Serves one processor thread at a time.
/// Source: IBM PS/2 Hardware Interface Technical Reference, keyboard and auxiliary device controller.
public struct KeyboardController {
    /// What a write asks of the machine.
    public enum Action: Sendable { case none, reset }

    private var control: UInt8 = 0x04
    private var output: UInt8?
    private var pendingCommand: UInt8?

    public init() {}

    /// What a snapshot keeps: the control byte, the output and the pending command, 256 for none.
    public var figures: [UInt64] {
        [UInt64(control), output.map(UInt64.init) ?? 256, pendingCommand.map(UInt64.init) ?? 256]
    }

    /// Trust: the figures come from a file.
    /// - Returns: nil when they are not such a controller's.
    public init?(figures: [UInt64]) {
        guard figures.count == 3, let control = UInt8(exactly: figures[0]), figures[1] <= 256, figures[2] <= 256 else {
            return nil
        }
        self.control = control
        output = UInt8(exactly: figures[1])
        pendingCommand = UInt8(exactly: figures[2])
    }

    /// The guest reads a port: `isStatus` for 0x64.
    public mutating func read(isStatus: Bool) -> UInt8 {
        // Status: bit 0 output full, bit 2 self-test passed.
        if isStatus { return (output == nil ? 0 : 1) | 0x04 }
        let byte = output ?? 0
        output = nil
        return byte
    }

    /// The guest writes a port: `isCommand` for 0x64.
    public mutating func write(isCommand: Bool, _ value: UInt8) -> Action {
        guard isCommand else {
            defer { pendingCommand = nil }
            switch pendingCommand {
            case 0x60: control = value
            // The output port: bit 0 low holds the processor in reset.
            case 0xd1: return value & 1 == 0 ? .reset : .none
            default: break
            }
            return .none
        }
        switch value {
        case 0x20: output = control
        case 0xaa: output = 0x55
        case 0xa9, 0xab: output = 0
        case 0xd0: output = 0x01
        case 0x60, 0xd1: pendingCommand = value
        case 0xf0...0xff: return value & 1 == 0 ? .reset : .none
        default: break
        }
        return .none
    }
}
