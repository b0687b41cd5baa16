/// A small generator whose sequence follows from its seed. Source: SplitMix64 (Steele, Lea, Flood 2014).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }

    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
    mutating func boolean() -> Bool { next() & 1 == 1 }
    mutating func integer<Value: FixedWidthInteger>() -> Value { Value(truncatingIfNeeded: next()) }
    mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in integer() } }

    mutating func list<Element>(atMost limit: Int, _ element: (inout SeededGenerator) -> Element) -> [Element] {
        var elements: [Element] = []
        for _ in 0..<below(limit + 1) { elements.append(element(&self)) }
        return elements
    }
}
