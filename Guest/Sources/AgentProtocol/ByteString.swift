/// Text as Linux has it: bytes, by convention UTF-8, never promised to be.
///
/// Arguments, environment and paths keep every byte that way; a file name in another encoding survives a copy.
public struct ByteString: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
    public var bytes: [UInt8]

    public init(_ bytes: [UInt8] = []) { self.bytes = bytes }
    public init(_ slice: ArraySlice<UInt8>) { bytes = [UInt8](slice) }
    public init(_ text: String) { bytes = [UInt8](text.utf8) }
    public init(stringLiteral text: StaticString) { bytes = text.withUTF8Buffer { unsafe [UInt8]($0) } }

    /// A number in digits, without leading zeros.
    public init(_ number: some FixedWidthInteger & UnsignedInteger, radix: UInt64 = 10) {
        bytes = Self.digits(UInt64(truncatingIfNeeded: number), radix)
    }

    private static func digits(_ number: UInt64, _ radix: UInt64) -> [UInt8] {
        var digits: [UInt8] = []
        var rest = number
        repeat {
            let digit = UInt8(truncatingIfNeeded: rest % radix)
            digits.append(digit + (digit < 10 ? 0x30 : 0x57))
            rest /= radix
        } while rest > 0
        digits.reverse()
        return digits
    }

    public var isEmpty: Bool { bytes.isEmpty }
    public var count: Int { bytes.count }

    /// For people: bytes that are not UTF-8 become replacement characters.
    public var description: String { String(decoding: bytes, as: UTF8.self) }

    /// Whether a zero byte lies in it, which no argument, variable or path of Linux may hold.
    public var containsZero: Bool { bytes.contains(0) }

    public static func + (left: ByteString, right: ByteString) -> ByteString { ByteString(left.bytes + right.bytes) }
    public static func += (left: inout ByteString, right: ByteString) { left.bytes.append(contentsOf: right.bytes) }

    /// The pieces between separators, empty ones included; an empty string has one empty piece.
    public func split(_ separator: UInt8) -> [ByteString] {
        bytes.split(separator: separator, omittingEmptySubsequences: false).map { ByteString($0) }
    }

    public func hasPrefix(_ prefix: ByteString) -> Bool { bytes.starts(with: prefix.bytes) }
}
