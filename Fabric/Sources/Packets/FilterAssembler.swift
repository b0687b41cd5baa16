import LinuxCalls

/// Puts a program of the kernel's packet filter machine together, whose jumps all lead forward.
///
/// Source: Linux networking/filter, linux/filter.h.
struct FilterAssembler {
    struct Label { fileprivate let number: Int }

    enum Condition: UInt16 { case equal = 0x15, greater = 0x25, atLeast = 0x35, hasBits = 0x45, atLeastIndex = 0x3d }

    /// Of so many words the machine's memory is made.
    enum Memory: UInt32 {
        /// Behind tags.
        case etherType
        /// Where the network's header begins.
        case network
        /// 256 where none is known.
        case transport
        case transportPlace
        /// 1 where the transport's header is in the packet.
        case isFirstPiece
    }

    private(set) var instructions: [FilterInstruction] = []
    private var places: [Int] = []
    private var jumps: [(at: Int, label: Int)] = []

    mutating func label() -> Label {
        places.append(-1)
        return Label(number: places.count - 1)
    }

    /// What comes next is where the label leads.
    mutating func place(_ label: Label) { places[label.number] = instructions.count }

    mutating func add(_ code: UInt16, _ operand: UInt32 = 0) {
        instructions.append(FilterInstruction(code: code, 0, 0, operand))
    }

    mutating func jump(_ label: Label) {
        jumps.append((instructions.count, label.number))
        add(0x05)
    }

    /// Goes there where the accumulator is so, or where it is not; on otherwise. Conditional jumps alone do not lead far enough.
    mutating func jump(_ label: Label, if condition: Condition, _ value: UInt32 = 0, isNot: Bool = false) {
        instructions.append(FilterInstruction(code: condition.rawValue, isNot ? 1 : 0, isNot ? 0 : 1, value))
        jump(label)
    }

    mutating func load(_ word: Memory) { add(0x60, word.rawValue) }
    mutating func loadIndex(_ word: Memory) { add(0x61, word.rawValue) }
    mutating func store(_ word: Memory) { add(0x02, word.rawValue) }
    mutating func set(_ word: Memory, _ value: UInt32) {
        add(0x00, value)
        store(word)
    }

    /// Of the packet, from its beginning, or from where the index register says.
    mutating func loadWord(_ place: UInt32, indexed: Bool = true) { add(indexed ? 0x40 : 0x20, place) }
    mutating func loadHalf(_ place: UInt32, indexed: Bool = true) { add(indexed ? 0x48 : 0x28, place) }
    mutating func loadByte(_ place: UInt32) { add(0x50, place) }

    mutating func addNumber(_ value: UInt32) { add(0x04, value) }
    mutating func addIndex() { add(0x0c) }
    mutating func mask(_ value: UInt32) { if value != .max { add(0x54, value) } }
    mutating func shiftLeft(_ bits: UInt32) { add(0x64, bits) }

    /// Goes to `label` where the packet has fewer bytes than `count` behind that place; the index register is that place then.
    mutating func require(_ count: UInt32, behind word: Memory, else label: Label) {
        load(word)
        addNumber(count)
        add(0x07)
        add(0x80)
        jump(label, if: .atLeastIndex, isNot: true)
        loadIndex(word)
    }

    /// The program, with every jump where it leads.
    func finished() -> [FilterInstruction] {
        var program = instructions
        for (at, label) in jumps { program[at].operand = UInt32(places[label] - at - 1) }
        return program
    }
}
