/// The I/O APIC, in this process: it keeps the redirection table and says which message each line sends.
///
/// No interrupt passes through here. The kernel delivers them by the routes made from `messages`, which change only when
/// the guest changes the table. Lines are edge-triggered; a guest that asks for level gets edges.
/// Source: Intel 82093AA data sheet, §3.
public struct IOInterruptController {
    public static let pins = 24

    /// The message of each pin that is not masked.
    public struct Message: Equatable, Sendable {
        public let pin: UInt32
        public let address: UInt64
        public let data: UInt32

        public init(pin: UInt32, address: UInt64, data: UInt32) {
            self.pin = pin
            self.address = address
            self.data = data
        }
    }

    private var selected: UInt8 = 0
    private var identifier: UInt32 = 0
    /// Bit 16 of an entry masks the pin; so they all begin.
    private var table = [UInt64](repeating: 1 << 16, count: pins)

    public init() {}

    /// What a snapshot keeps: the selected register, the identifier, the table.
    public var figures: [UInt64] { [UInt64(selected), UInt64(identifier)] + table }

    /// Trust: the figures come from a file.
    /// - Returns: nil when they are not such a controller's.
    public init?(figures: [UInt64]) {
        guard figures.count == 2 + Self.pins, let selected = UInt8(exactly: figures[0]),
            let identifier = UInt32(exactly: figures[1])
        else { return nil }
        self.selected = selected
        self.identifier = identifier
        table = Array(figures[2...])
    }

    /// A four-byte read at `offset` in the controller's page.
    public func read(_ offset: UInt64) -> UInt32 {
        switch offset {
        case 0x00: return UInt32(selected)
        case 0x10: return readSelected()
        default: return 0
        }
    }

    /// A four-byte write at `offset` in the controller's page.
    /// - Returns: whether the messages have changed.
    public mutating func write(_ offset: UInt64, _ value: UInt32) -> Bool {
        switch offset {
        case 0x00:
            selected = UInt8(truncatingIfNeeded: value)
            return false
        case 0x10: return writeSelected(value)
        default: return false
        }
    }

    private func readSelected() -> UInt32 {
        switch selected {
        case 0x00, 0x02: return identifier
        // Version 0x11: no directed end-of-interrupt register, 24 pins.
        case 0x01: return 0x11 | UInt32(Self.pins - 1) << 16
        case 0x10..<0x40:
            let entry = table[Int(selected - 0x10) / 2]
            return UInt32(truncatingIfNeeded: selected & 1 == 0 ? entry : entry >> 32)
        default: return 0
        }
    }

    private mutating func writeSelected(_ value: UInt32) -> Bool {
        switch selected {
        case 0x00: identifier = value & 0x0f00_0000
        case 0x10..<0x40:
            let pin = Int(selected - 0x10) / 2
            let before = Self.message(pin, table[pin])
            if selected & 1 == 0 {
                // Delivery status and remote IRR (bits 12 and 14) are read-only.
                table[pin] = table[pin] & ~0xffff_ffff | UInt64(value & ~0x5000)
            } else {
                table[pin] = table[pin] & 0xffff_ffff | UInt64(value) << 32
            }
            return before != Self.message(pin, table[pin])
        default: break
        }
        return false
    }

    /// The messages of all pins that are not masked.
    public var messages: [Message] { table.indices.compactMap { Self.message($0, table[$0]) } }

    /// Source: Intel SDM volume 3 §11.11 (message address and data).
    private static func message(_ pin: Int, _ entry: UInt64) -> Message? {
        if entry & 1 << 16 != 0 { return nil }
        let destination = entry >> 56
        let isLogical = entry >> 11 & 1
        return Message(
            pin: UInt32(pin), address: 0xfee0_0000 | destination << 12 | isLogical << 2,
            data: UInt32(truncatingIfNeeded: entry & 0x7ff))
    }
}
