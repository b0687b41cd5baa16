/// The 8042 keyboard controller with a keyboard that has three keys: it answers kernels' questions, resets the machine, and
/// says that control, alt and delete are pressed. Ports 0x60 (data) and 0x64 (status, command). Serves one thread at a time.
/// Source: IBM PS/2 Hardware Interface Technical Reference, keyboard and auxiliary device controller.
public struct KeyboardController {
    /// What a write asks of the machine.
    public enum Action: Sendable { case none, reset, interrupt }
    /// What comes of pressing keys.
    public enum Press: Sendable {
        case interrupt
        /// The guest has not read what was pressed before.
        case full
        /// The guest listens to no keyboard.
        case unheard
    }

    private static let capacity = 16
    /// Control, alt and delete are pressed, by the codes of set 2.
    private static let keys: [UInt8] = [0x14, 0x11, 0xe0, 0x71]
    private static let acknowledge: UInt8 = 0xfa

    private var control: UInt8 = 0x04
    /// What the guest has not read yet, the oldest first.
    private var output: [UInt8] = []
    private var pendingCommand: UInt8?

    public init() {}

    /// What a snapshot keeps: the control byte, the output's first byte and the pending command, 256 for none; then the
    /// rest of the output.
    public var figures: [UInt64] {
        [UInt64(control), output.first.map(UInt64.init) ?? 256, pendingCommand.map(UInt64.init) ?? 256]
            + output.dropFirst().map(UInt64.init)
    }

    /// Trust: the figures come from a file.
    /// - Returns: nil when they are not such a controller's.
    public init?(figures: [UInt64]) {
        guard figures.count >= 3, figures.count < 3 + Self.capacity, let control = UInt8(exactly: figures[0]),
            figures[1] <= 256, figures[2] <= 256, figures[1] < 256 || figures.count == 3
        else { return nil }
        self.control = control
        pendingCommand = UInt8(exactly: figures[2])
        if let first = UInt8(exactly: figures[1]) { output = [first] }
        for figure in figures.dropFirst(3) {
            guard let byte = UInt8(exactly: figure) else { return nil }
            output.append(byte)
        }
    }

    /// Presses control, alt and delete at once.
    public mutating func press() -> Press {
        guard isInterruptEnabled else { return .unheard }
        guard output.count + Self.keys.count <= Self.capacity else { return .full }
        output += Self.keys
        return .interrupt
    }

    /// Whether a byte is there that the guest wants to be told of.
    public var isPending: Bool { isInterruptEnabled && !output.isEmpty }

    private var isInterruptEnabled: Bool { control & 1 != 0 }

    /// The guest reads a port: `isStatus` for 0x64.
    public mutating func read(isStatus: Bool) -> UInt8 {
        // Status: bit 0 output full, bit 2 self-test passed, bit 4 keyboard not locked.
        if isStatus { return (output.isEmpty ? 0 : 1) | 0x14 }
        return output.isEmpty ? 0 : output.removeFirst()
    }

    /// The guest writes a port: `isCommand` for 0x64.
    public mutating func write(isCommand: Bool, _ value: UInt8) -> Action {
        guard isCommand else {
            defer { pendingCommand = nil }
            switch pendingCommand {
            case 0x60: control = value
            // The output port: bit 0 low holds the processor in reset.
            case 0xd1: return value & 1 == 0 ? .reset : .none
            default:
                // To the keyboard itself, which agrees with everything.
                output = [Self.acknowledge]
                return isInterruptEnabled ? .interrupt : .none
            }
            return .none
        }
        switch value {
        case 0x20: output = [control]
        case 0xaa: output = [0x55]
        case 0xa9, 0xab: output = [0]
        case 0xd0: output = [0x01]
        case 0x60, 0xd1: pendingCommand = value
        case 0xf0...0xff: return value & 1 == 0 ? .reset : .none
        default: break
        }
        return .none
    }
}
