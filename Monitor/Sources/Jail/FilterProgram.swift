public import LinuxCalls

/// Turns a role's rules into a program for the kernel's packet filter machine, which judges each system call.
///
/// The program is a chain: one block for each call, in the order of the rules (the frequent ones stand first), each
/// tried until one is for this call. A block compares the arguments rule by rule. What no rule allows meets the default.
/// Source: seccomp(2); Documentation/userspace-api/seccomp_filter.rst; linux/filter.h.
public struct FilterProgram: Sendable {
    /// What happens to a call.
    public enum Action: Equatable, Sendable {
        case allow
        /// The process ends at once.
        case endProcess
        /// SIGSYS with that number in `si_errno`; the call is not made.
        case trap(UInt16)
        /// Whoever holds the listener is asked.
        case ask

        /// Source: linux/seccomp.h.
        public var value: UInt32 {
            switch self {
            case .allow: 0x7fff_0000
            case .endProcess: 0x8000_0000
            case .trap(let data): 0x0003_0000 | UInt32(data)
            case .ask: 0x7fc0_0000
            }
        }
    }

    /// Offsets in `struct seccomp_data`.
    private enum Offset {
        static let number: UInt32 = 0
        static let architecture: UInt32 = 4
        static func low(_ argument: UInt8) -> UInt32 { 16 + 8 * UInt32(argument) }
        static func high(_ argument: UInt8) -> UInt32 { 20 + 8 * UInt32(argument) }
    }

    /// AUDIT_ARCH_X86_64
    static let architecture: UInt32 = 0xc000_003e
    /// Calls of the x32 interface have this bit.
    private static let otherInterface: UInt32 = 0x4000_0000

    public private(set) var instructions: [FilterInstruction] = []

    /// - Parameters:
    ///   - allowed: for what a rule allows.
    ///   - refused: for all else. Calls of another architecture or interface always end the process.
    public init(_ rules: [Rule], allowed: Action = .allow, refused: Action) {
        instructions.append(.load(Offset.architecture))
        instructions.append(.jump(ifEqual: Self.architecture, yes: 1, no: 0))
        instructions.append(.give(Action.endProcess.value))
        instructions.append(.load(Offset.number))
        instructions.append(.jump(ifAtLeast: Self.otherInterface, yes: 0, no: 1))
        instructions.append(.give(Action.endProcess.value))
        var isDone = [Bool](repeating: false, count: rules.count)
        for first in 0..<rules.count where !isDone[first] {
            var block: [FilterInstruction] = []
            var isOpen = true
            for index in first..<rules.count where rules[index].call == rules[first].call {
                isDone[index] = true
                guard isOpen else { continue }
                let rule = Self.compare(rules[index].checks, then: allowed)
                block += rule
                isOpen = !rules[index].checks.isEmpty
            }
            if isOpen { block.append(.give(refused.value)) }
            // A table that does not fit is our bug: a conditional jump goes 255 instructions at most.
            precondition(block.count <= 255, "too many rules for one call")
            instructions.append(.jump(ifEqual: rules[first].call.number, yes: 0, no: UInt8(block.count)))
            instructions += block
        }
        instructions.append(.give(refused.value))
    }

    /// Asks about every call but those that hand the listener to whoever answers.
    static func recording(_ socket: Int32) -> Self {
        Self([Rule(.sendmsg, [.word(0, UInt32(bitPattern: socket))], need: .rare, for: "the recorder")], refused: .ask)
    }

    /// Goes on behind itself unless every check holds.
    private static func compare(_ checks: [ArgumentCheck], then action: Action) -> [FilterInstruction] {
        var code: [FilterInstruction] = []
        for check in checks {
            let lowMask = UInt32(truncatingIfNeeded: check.mask)
            let highMask = UInt32(truncatingIfNeeded: check.mask >> 32)
            for (mask, offset, value) in [
                (lowMask, Offset.low(check.index), UInt32(truncatingIfNeeded: check.value)),
                (highMask, Offset.high(check.index), UInt32(truncatingIfNeeded: check.value >> 32)),
            ] where mask != 0 {
                code.append(.load(offset))
                if mask != .max { code.append(.and(mask)) }
                code.append(.jump(ifEqual: value, yes: 0, no: 0))
            }
        }
        code.append(.give(action.value))
        for index in code.indices where code[index].isComparison {
            code[index].jumpIfFalse = UInt8(code.count - index - 1)
        }
        return code
    }
}

extension FilterInstruction {
    static func load(_ offset: UInt32) -> Self { Self(code: 0x20, 0, 0, offset) }
    static func and(_ mask: UInt32) -> Self { Self(code: 0x54, 0, 0, mask) }
    static func jump(ifEqual value: UInt32, yes: UInt8, no: UInt8) -> Self { Self(code: 0x15, yes, no, value) }
    static func jump(ifAtLeast value: UInt32, yes: UInt8, no: UInt8) -> Self { Self(code: 0x35, yes, no, value) }
    static func give(_ value: UInt32) -> Self { Self(code: 0x06, 0, 0, value) }

    var isComparison: Bool { code == 0x15 }
}
