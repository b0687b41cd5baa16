/// The two sleep registers of a machine with hardware-reduced ACPI: control at offset 0, status at offset 1.
/// Source: ACPI 6.5 §4.8.3.7.
public struct SleepRegisters {
    /// The sleep type that the tables give for S5, soft off.
    public static let softOffType: UInt8 = 5

    public init() {}

    public func read(_ offset: UInt16) -> UInt8 { 0 }

    /// Whether the write asks for soft off: SLP_EN (bit 5) with S5 in SLP_TYP (bits 2 to 4).
    public func write(_ offset: UInt16, _ value: UInt8) -> Bool {
        offset == 0 && value & 0x20 != 0 && value >> 2 & 7 == Self.softOffType
    }
}
