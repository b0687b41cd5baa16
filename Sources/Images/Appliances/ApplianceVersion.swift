/// A version of an appliance: one to four numbers, compared one after the other. What is left out is zero.
public struct ApplianceVersion: Comparable, Hashable, Sendable, CustomStringConvertible {
    private let numbers: [UInt32]

    /// Nil for what is no version, as `1.4.2` is; leading zeros are not allowed, so that a version has one text.
    public init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard (1...4).contains(parts.count) else { return nil }
        var numbers: [UInt32] = []
        for part in parts {
            guard (1...9).contains(part.utf8.count), part.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
                part == "0" || part.first != "0", let number = UInt32(part)
            else { return nil }
            numbers.append(number)
        }
        self.numbers = numbers
    }

    public var description: String { numbers.map(String.init).joined(separator: ".") }

    private var padded: [UInt32] { numbers + [UInt32](repeating: 0, count: 4 - numbers.count) }

    public static func == (left: Self, right: Self) -> Bool { left.padded == right.padded }
    public static func < (left: Self, right: Self) -> Bool { left.padded.lexicographicallyPrecedes(right.padded) }
    public func hash(into hasher: inout Hasher) { hasher.combine(padded) }
}
