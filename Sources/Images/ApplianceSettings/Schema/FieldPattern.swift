/// A pattern that a whole text must match, in time that grows with the text's length and not faster, whoever wrote the pattern.
///
/// Understood are characters, `.`, `[a-z]`, `[^…]`, `\d`, `\w`, `\s`, `\` before anything else, `(…)`, `|`, `*`, `+`, `?`, `{n}`,
/// `{n,}` and `{n,m}` up to 100.
public struct FieldPattern: Equatable, Sendable, CustomStringConvertible {
    public let description: String
    private let program: [Instruction]
    static let maximumInstructions = 4000

    private enum Instruction: Equatable, Sendable {
        case character(CharacterSet)
        /// Goes on at both.
        case split(Int, Int)
        case jump(Int)
        case match
    }

    struct CharacterSet: Equatable, Sendable {
        var ranges: [ClosedRange<UInt32>]
        var isInverted = false

        func contains(_ value: UInt32) -> Bool { ranges.contains { $0.contains(value) } != isInverted }
    }

    indirect enum Node {
        case set(CharacterSet)
        case sequence([Node])
        case either(Node, Node)
        case repeated(Node, least: Int, most: Int?)
    }

    /// - Throws: a `Refusal` that says what is wrong with the pattern.
    init(_ text: String) throws(Refusal) {
        guard text.utf8.count <= 500 else { throw Refusal("a pattern has at most 500 characters") }
        var parser = PatternParser(text)
        let node = try parser.parse()
        var program: [Instruction] = []
        guard Self.compile(node, &program) else { throw Refusal("the pattern repeats too much") }
        self.program = program + [.match]
        description = text
    }

    private static func compile(_ node: Node, _ program: inout [Instruction]) -> Bool {
        guard program.count < maximumInstructions else { return false }
        switch node {
        case .set(let set): program.append(.character(set))
        case .sequence(let nodes):
            for node in nodes { guard compile(node, &program) else { return false } }
        case .either(let first, let second):
            let split = program.count
            program.append(.match)
            guard compile(first, &program) else { return false }
            let jump = program.count
            program.append(.match)
            program[split] = .split(split + 1, program.count)
            guard compile(second, &program) else { return false }
            program[jump] = .jump(program.count)
        case .repeated(let node, let least, let most):
            for _ in 0..<least { guard compile(node, &program) else { return false } }
            guard let most else {
                let split = program.count
                program.append(.match)
                guard compile(node, &program) else { return false }
                program.append(.jump(split))
                program[split] = .split(split + 1, program.count)
                break
            }
            var splits: [Int] = []
            for _ in least..<most {
                splits.append(program.count)
                program.append(.match)
                guard compile(node, &program) else { return false }
            }
            for split in splits { program[split] = .split(split + 1, program.count) }
        }
        return program.count <= maximumInstructions
    }

    /// Every place in the program that the text so far may have led to is followed at once. Source: Thompson 1968.
    public func matches(_ text: String) -> Bool {
        var places: [Int] = []
        follow(0, into: &places)
        for scalar in text.unicodeScalars {
            var next: [Int] = []
            var seen = [Bool](repeating: false, count: program.count)
            for place in places {
                guard case .character(let set) = program[place], set.contains(scalar.value) else { continue }
                follow(place + 1, into: &next, &seen)
            }
            places = next
            if places.isEmpty { return false }
        }
        return places.contains { program[$0] == .match }
    }

    private func follow(_ place: Int, into places: inout [Int]) {
        var seen = [Bool](repeating: false, count: program.count)
        follow(place, into: &places, &seen)
    }

    private func follow(_ start: Int, into places: inout [Int], _ seen: inout [Bool]) {
        var open = [start]
        while let place = open.popLast() {
            guard !seen[place] else { continue }
            seen[place] = true
            switch program[place] {
            case .split(let first, let second): open += [second, first]
            case .jump(let target): open.append(target)
            case .character, .match: places.append(place)
            }
        }
    }
}

/// Reads a pattern.
private struct PatternParser {
    private var rest: ArraySlice<Unicode.Scalar>
    private var depth = 0

    init(_ text: String) { rest = ArraySlice(text.unicodeScalars) }

    mutating func parse() throws(Refusal) -> FieldPattern.Node {
        let node = try alternatives()
        guard rest.isEmpty else { throw Refusal("the pattern has a \")\" too many") }
        return node
    }

    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard rest.first == scalar else { return false }
        rest.removeFirst()
        return true
    }

    private mutating func alternatives() throws(Refusal) -> FieldPattern.Node {
        depth += 1
        guard depth <= 20 else { throw Refusal("the pattern is nested too deeply") }
        defer { depth -= 1 }
        var node = try sequence()
        while take("|") { node = .either(node, try sequence()) }
        return node
    }

    private mutating func sequence() throws(Refusal) -> FieldPattern.Node {
        var nodes: [FieldPattern.Node] = []
        while let next = rest.first, next != "|", next != ")" {
            var node = try atom()
            while let (least, most) = try repetition() { node = .repeated(node, least: least, most: most) }
            nodes.append(node)
        }
        return .sequence(nodes)
    }

    private mutating func repetition() throws(Refusal) -> (Int, Int?)? {
        if take("*") { return (0, nil) }
        if take("+") { return (1, nil) }
        if take("?") { return (0, 1) }
        guard take("{") else { return nil }
        let least = try number()
        var most: Int? = least
        if take(",") { most = rest.first == "}" ? nil : try number() }
        guard take("}"), most.map({ $0 >= least }) ?? true else {
            throw Refusal("a repetition of the pattern is wrong")
        }
        return (least, most)
    }

    private mutating func number() throws(Refusal) -> Int {
        var value: Int?
        while let digit = rest.first?.value, (0x30...0x39).contains(digit) {
            value = (value ?? 0) * 10 + Int(digit - 0x30)
            rest.removeFirst()
            guard let value, value <= 100 else { throw Refusal("the pattern repeats more than 100 times") }
        }
        guard let value else { throw Refusal("a repetition of the pattern is wrong") }
        return value
    }

    private mutating func atom() throws(Refusal) -> FieldPattern.Node {
        let next = rest.removeFirst()
        switch next {
        case "(":
            let node = try alternatives()
            guard take(")") else { throw Refusal("a \"(\" of the pattern is not closed") }
            return node
        case "[": return .set(try set())
        case ".": return .set(.init(ranges: [], isInverted: true))
        case "\\": return .set(try escape())
        case "*", "+", "?", "{": throw Refusal("the pattern repeats nothing at \"\(next)\"")
        case "^", "$": throw Refusal("the pattern matches the whole text always; \"\(next)\" means nothing in it")
        default: return .set(.init(ranges: [next.value...next.value]))
        }
    }

    private mutating func escape() throws(Refusal) -> FieldPattern.CharacterSet {
        guard let next = rest.popFirst() else { throw Refusal("the pattern ends with a \"\\\"") }
        switch next {
        case "d": return .init(ranges: [0x30...0x39])
        case "w": return .init(ranges: [0x30...0x39, 0x41...0x5a, 0x5f...0x5f, 0x61...0x7a])
        case "s": return .init(ranges: [0x09...0x0d, 0x20...0x20])
        case "a"..."z", "A"..."Z", "0"..."9": throw Refusal("the pattern's \"\\\(next)\" is not understood")
        default: return .init(ranges: [next.value...next.value])
        }
    }

    private mutating func set() throws(Refusal) -> FieldPattern.CharacterSet {
        var set = FieldPattern.CharacterSet(ranges: [], isInverted: take("^"))
        while let next = rest.popFirst(), next != "]" || set.ranges.isEmpty {
            if next == "\\" {
                set.ranges += try escape().ranges
            } else if rest.first == "-", rest.dropFirst().first != "]" {
                rest.removeFirst()
                guard let last = rest.popFirst(), last.value >= next.value else {
                    throw Refusal("a range of the pattern is wrong")
                }
                set.ranges.append(next.value...last.value)
            } else {
                set.ranges.append(next.value...next.value)
            }
            if rest.isEmpty { throw Refusal("a \"[\" of the pattern is not closed") }
        }
        guard !set.ranges.isEmpty else { throw Refusal("a \"[\" of the pattern is not closed") }
        return set
    }
}
