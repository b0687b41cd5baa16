/// One condition on an argument of a system call: the bits of `mask` have the value `value`.
public struct ArgumentCheck: Equatable, Sendable {
    /// 0 to 5.
    public let index: UInt8
    public let mask: UInt64
    public let value: UInt64

    /// An argument that the kernel reads as 32 bits; the upper ones may hold anything.
    public static func word(_ index: UInt8, _ value: UInt32) -> Self {
        Self(index: index, mask: 0xffff_ffff, value: UInt64(value))
    }

    /// An argument of 32 bits of which some are looked at only.
    public static func bits(_ index: UInt8, mask: UInt32, _ value: UInt32) -> Self {
        Self(index: index, mask: UInt64(mask), value: UInt64(value))
    }

    /// An argument that the kernel reads as 64 bits.
    public static func long(_ index: UInt8, _ value: UInt64) -> Self {
        Self(index: index, mask: .max, value: value)
    }

    func holds(_ arguments: [UInt64]) -> Bool {
        Int(index) < arguments.count && arguments[Int(index)] & mask == value
    }
}

/// One system call that a role may make, when all checks hold.
public struct Rule: Sendable {
    /// When a run needs the rule.
    public enum Occasion: Sendable {
        /// Some ordinary run of some machine.
        case ordinary
        /// Only when something fails or memory is short, which no test can bring about at will.
        case rare
        /// Only with a C library other than the shipped one, in builds for development.
        case development
    }

    public let call: SystemCallNumber
    public let checks: [ArgumentCheck]
    /// Nil: every machine; else only with one of these.
    public let parts: JailedParts?
    public let occasion: Occasion
    /// What for.
    public let reason: StaticString

    init(
        _ call: SystemCallNumber, _ checks: [ArgumentCheck] = [], with parts: JailedParts? = nil,
        need occasion: Occasion = .ordinary, for reason: StaticString
    ) {
        self.call = call
        self.checks = checks
        self.parts = parts
        self.occasion = occasion
        self.reason = reason
    }

    /// Whether some ordinary run must need it.
    public var isOrdinary: Bool { if case .ordinary = occasion { true } else { false } }

    /// Whether it allows that call.
    public func allows(_ number: UInt32, _ arguments: [UInt64]) -> Bool {
        guard call.number == number else { return false }
        for check in checks where !check.holds(arguments) { return false }
        return true
    }

    /// As reports name it: the call and the values that are wanted.
    public var label: String {
        var text = call.name.description
        for check in checks {
            text += " \(check.index)=0x" + String(check.value, radix: 16)
            if check.mask != 0xffff_ffff, check.mask != .max { text += "/0x" + String(check.mask, radix: 16) }
        }
        return text
    }
}
