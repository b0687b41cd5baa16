public import LinuxCalls

/// The kernel's packet filter machine, as far as filters of packets use it. Source: Linux `net/core/filter.c`.
public struct FilterMachine {
    /// What the kernel would not take, or a jump out of the program.
    public struct Broken: Error {
        public let place: Int
        public let why: String
    }

    private let program: [FilterInstruction]

    public init(_ program: [FilterInstruction]) throws(Broken) {
        guard (1...4096).contains(program.count), program[program.count - 1].code == 0x06 else {
            throw Broken(place: program.count, why: "it is too long, or has no end")
        }
        self.program = program
    }

    /// How much of the frame is wanted. What lies behind its end ends the program with nothing.
    public func run(_ frame: [UInt8]) throws(Broken) -> UInt32 {
        var (accumulator, index): (UInt32, UInt32) = (0, 0)
        var memory = [UInt32?](repeating: nil, count: 16)
        var place = 0
        func load(_ start: UInt32, _ count: Int) -> UInt32? {
            guard Int(start) + count <= frame.count else { return nil }
            return frame[Int(start)..<Int(start) + count].reduce(0) { $0 << 8 | UInt32($1) }
        }
        while place < program.count {
            let step = program[place]
            let value = step.operand
            var target: Bool?
            switch step.code {
            case 0x20, 0x28, 0x30, 0x40, 0x48, 0x50:
                let start = step.code >= 0x40 ? index &+ value : value
                guard let loaded = load(start, [4, 2, 1][Int(step.code >> 3 & 3)]) else { return 0 }
                accumulator = loaded
            case 0xb1:
                guard let loaded = load(value, 1) else { return 0 }
                index = (loaded & 0xf) * 4
            case 0x00: accumulator = value
            case 0x01: index = value
            case 0x80: accumulator = UInt32(frame.count)
            case 0x60, 0x61:
                guard value < 16, let loaded = memory[Int(value)] else {
                    throw Broken(place: place, why: "memory that nothing was put into")
                }
                if step.code == 0x60 { accumulator = loaded } else { index = loaded }
            case 0x02: memory[Int(value)] = accumulator
            case 0x03: memory[Int(value)] = index
            case 0x04: accumulator &+= value
            case 0x0c: accumulator &+= index
            case 0x14: accumulator &-= value
            case 0x54: accumulator &= value
            case 0x64: accumulator <<= value
            case 0x74: accumulator >>= value
            case 0x07: index = accumulator
            case 0x87: accumulator = index
            case 0x05: place += Int(value)
            case 0x15: target = accumulator == value
            case 0x25: target = accumulator > value
            case 0x35: target = accumulator >= value
            case 0x3d: target = accumulator >= index
            case 0x45: target = accumulator & value != 0
            case 0x06: return value
            default: throw Broken(place: place, why: "code \(step.code)")
            }
            if let target { place += Int(target ? step.jumpIfTrue : step.jumpIfFalse) }
            place += 1
        }
        throw Broken(place: place, why: "it runs out of the program")
    }
}
