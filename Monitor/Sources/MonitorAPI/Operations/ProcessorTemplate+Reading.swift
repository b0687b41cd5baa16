import MachineConfiguration
import WireFormats

/// The body of `PUT /cpu-config`. Trust: it has its shape, so its texts are numbers and bitmaps.
extension ProcessorTemplate {
    static let registers = ["eax", "ebx", "ecx", "edx"]

    init(_ body: JSONValue) {
        self.init()
        for capability in body["kvm_capabilities"]?.elements ?? [] {
            // One that need not be there changes nothing: none is asked for by itself.
            if let text = capability.text, let number = Self.number(text, base: 10) { capabilities.append(number) }
        }
        for entry in body["cpuid_modifiers"]?.elements ?? [] {
            for modifier in entry["modifiers"]?.elements ?? [] {
                leaves.append(
                    Change(
                        Self.number(entry, "leaf"), subleaf: Self.number(entry, "subleaf"),
                        flags: UInt32(truncatingIfNeeded: entry.integer("flags") ?? 0),
                        register: Self.register(modifier.text("register") ?? "") ?? 0,
                        bits: Self.bits(modifier.text("bitmap") ?? "", width: 32) ?? Bits()))
            }
        }
        for entry in body["msr_modifiers"]?.elements ?? [] {
            modelRegisters.append(
                Change(
                    Self.number(entry, "addr"), bits: Self.bits(entry.text("bitmap") ?? "", width: 64) ?? Bits()))
        }
    }

    @Sendable static func isCapability(_ text: String) -> Bool {
        number(text, base: 10, skipping: text.utf8.first == UInt8(ascii: "!") ? 1 : 0) != nil
    }

    @Sendable static func isNumber(_ text: String) -> Bool { number(text) != nil }
    @Sendable static func isBitmap32(_ text: String) -> Bool { bits(text, width: 32) != nil }
    @Sendable static func isBitmap64(_ text: String) -> Bool { bits(text, width: 64) != nil }
    @Sendable static func isRegister(_ text: String) -> Bool { register(text) != nil }

    private static func register(_ text: String) -> Int? {
        for (index, name) in registers.enumerated() where name == text { return index }
        return nil
    }

    private static func number(_ entry: JSONValue, _ name: String) -> UInt32 { number(entry.text(name) ?? "") ?? 0 }

    /// Hexadecimal behind `0x`, binary behind `0b`.
    private static func number(_ text: String) -> UInt32? {
        if text.utf8.starts(with: "0x".utf8) { return number(text, base: 16, skipping: 2) }
        if text.utf8.starts(with: "0b".utf8) { return number(text, base: 2, skipping: 2) }
        return nil
    }

    private static func number(_ text: String, base: UInt8, skipping: Int = 0) -> UInt32? {
        var result: UInt64 = 0
        var count = 0
        for byte in text.utf8 {
            count += 1
            if count <= skipping { continue }
            guard let digit = Shapes.hexadecimalDigit(byte), digit < base else { return nil }
            result = result * UInt64(base) + UInt64(digit)
            if result > UInt64(UInt32.max) { return nil }
        }
        return count > skipping ? UInt32(truncatingIfNeeded: result) : nil
    }

    /// From the highest bit, with or without `0b` before it: 0, 1, x for what stays, and underscores in between.
    private static func bits(_ text: String, width: Int) -> Bits? {
        var result = Bits()
        var count = 0
        let skipped = text.utf8.starts(with: "0b".utf8) ? 2 : 0
        var place = 0
        for byte in text.utf8 {
            place += 1
            if place <= skipped || byte == UInt8(ascii: "_") { continue }
            let isKept = byte == UInt8(ascii: "x")
            guard isKept || byte == UInt8(ascii: "0") || byte == UInt8(ascii: "1"), count < width else { return nil }
            count += 1
            result.mask = result.mask << 1 | (isKept ? 0 : 1)
            result.value = result.value << 1 | (byte == UInt8(ascii: "1") ? 1 : 0)
        }
        return result
    }
}
