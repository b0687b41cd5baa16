import LinuxCalls

/// A system call as a filter sees it. Source: `struct seccomp_data`, linux/seccomp.h.
struct FilteredCall {
    var number: UInt32
    var architecture: UInt32 = 0xc000_003e
    var arguments: [UInt64] = []

    fileprivate func word(at offset: UInt32) -> UInt32 {
        switch offset {
        case 0: return number
        case 4: return architecture
        default:
            let place = Int(offset) - 16
            let argument = place / 8 < arguments.count ? arguments[place / 8] : 0
            return UInt32(truncatingIfNeeded: place % 8 == 0 ? argument : argument >> 32)
        }
    }
}

/// What a filter would say, worked out here.
func simulate(_ program: [FilterInstruction], _ call: FilteredCall) -> UInt32? {
    var accumulator: UInt32 = 0
    var position = 0
    while position < program.count {
        let instruction = program[position]
        position += 1
        switch instruction.code {
        case 0x20:
            guard instruction.operand % 4 == 0, instruction.operand < 64 else { return nil }
            accumulator = call.word(at: instruction.operand)
        case 0x54: accumulator &= instruction.operand
        case 0x15:
            position += Int(accumulator == instruction.operand ? instruction.jumpIfTrue : instruction.jumpIfFalse)
        case 0x35:
            position += Int(accumulator >= instruction.operand ? instruction.jumpIfTrue : instruction.jumpIfFalse)
        case 0x06: return instruction.operand
        default: return nil
        }
    }
    return nil
}
