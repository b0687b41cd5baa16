/// The 512 bytes before each member of a tar, taken apart field by field.
///
/// Every byte is foreign; each accessor checks what it returns.
/// Source: POSIX.1-2017 pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format".
struct TarHeader {
    static let length = 512

    let bytes: [UInt8]
    /// Where the header begins in the archive, for errors.
    let offset: UInt64

    /// `bytes` is 512 long.
    init(_ bytes: [UInt8], offset: UInt64) {
        self.bytes = bytes
        self.offset = offset
    }

    /// Whether 512 bytes have a tar header's checksum, or are the zeros of an empty archive.
    static func looksLikeHeader(_ bytes: [UInt8]) -> Bool {
        let header = TarHeader(Array(bytes.prefix(length)), offset: 0)
        return header.isZero || header.hasRightChecksum
    }

    var isZero: Bool { bytes.allSatisfy { $0 == 0 } }

    /// The sum of all bytes with the checksum field taken as spaces; old archives summed signed bytes.
    var hasRightChecksum: Bool {
        guard let stored = try? number(148, 8, "checksum") else { return false }
        var unsigned: Int64 = 8 * 32
        var signed: Int64 = 8 * 32
        for index in 0..<Self.length where !(148..<156).contains(index) {
            unsigned += Int64(bytes[index])
            signed += Int64(Int8(bitPattern: bytes[index]))
        }
        return stored == unsigned || stored == signed
    }

    enum Dialect { case old, ustar, gnu }

    var dialect: Dialect {
        if bytes[257..<263].elementsEqual(Array("ustar".utf8) + [0]) { return .ustar }
        if bytes[257..<265].elementsEqual(Array("ustar  ".utf8) + [0]) { return .gnu }
        // Some writers end the magic with a space and still mean POSIX fields.
        return bytes[257..<262].elementsEqual(Array("ustar".utf8)) ? .ustar : .old
    }

    var typeFlag: UInt8 { bytes[156] }

    /// A text field, up to its first zero byte.
    func text(_ start: Int, _ length: Int) -> [UInt8] {
        Array(bytes[start..<(start + length)].prefix { $0 != 0 })
    }

    /// The name field, with the prefix field before it where the dialect has one.
    var path: [UInt8] {
        let name = text(0, 100)
        guard dialect == .ustar else { return name }
        let prefix = text(345, 155)
        return prefix.isEmpty ? name : prefix + [UInt8(ascii: "/")] + name
    }

    var linkTarget: [UInt8] { text(157, 100) }
    var userName: [UInt8] { dialect == .old ? [] : text(265, 32) }
    var groupName: [UInt8] { dialect == .old ? [] : text(297, 32) }

    func mode() throws(ArchiveError) -> UInt16 { UInt16(truncatingIfNeeded: try number(100, 8, "mode") & 0o7777) }
    func userID() throws(ArchiveError) -> UInt32 { try identifier(108, "user id") }
    func groupID() throws(ArchiveError) -> UInt32 { try identifier(116, "group id") }
    func modifiedSeconds() throws(ArchiveError) -> Int64 { try number(136, 12, "modification time") }
    func deviceMajor() throws(ArchiveError) -> UInt32 { dialect == .old ? 0 : try identifier(329, "device number") }
    func deviceMinor() throws(ArchiveError) -> UInt32 { dialect == .old ? 0 : try identifier(337, "device number") }

    func sizeBytes() throws(ArchiveError) -> UInt64 { try size(124) }

    /// A length or an offset: never negative.
    func size(_ start: Int) throws(ArchiveError) -> UInt64 {
        guard let size = UInt64(exactly: try number(start, 12, "size")) else {
            throw .invalidField("size (it is negative)", at: offset)
        }
        return size
    }

    private func identifier(_ start: Int, _ name: String) throws(ArchiveError) -> UInt32 {
        guard let value = UInt32(exactly: try number(start, 8, name)) else {
            throw .invalidField(name, at: offset)
        }
        return value
    }

    /// A number in octal digits, or in base 256 when the first bit is set. An empty field is zero.
    /// Source: GNU tar manual, "Extensions to tar: numbers" (base-256, two's complement over the field).
    func number(_ start: Int, _ length: Int, _ name: String) throws(ArchiveError) -> Int64 {
        let field = bytes[start..<(start + length)]
        guard let first = field.first else { return 0 }
        if first & 0x80 != 0 { return try binaryNumber(field, name) }
        var value: Int64 = 0
        var digits = field.drop { $0 == UInt8(ascii: " ") || $0 == 0 }
        while let digit = digits.first, digit != UInt8(ascii: " "), digit != 0 {
            guard (UInt8(ascii: "0")...UInt8(ascii: "7")).contains(digit) else { throw .invalidField(name, at: offset) }
            // Twelve octal digits are 36 bits: nothing can overflow.
            value = value << 3 | Int64(digit - UInt8(ascii: "0"))
            digits.removeFirst()
        }
        return value
    }

    private func binaryNumber(_ field: ArraySlice<UInt8>, _ name: String) throws(ArchiveError) -> Int64 {
        guard let first = field.first else { return 0 }
        let isNegative = first & 0x40 != 0
        // The seven bits of the first byte that belong to the number, with the sign spread over all above them.
        var value = isNegative ? Int64(first) | ~0xff : Int64(first & 0x7f)
        for byte in field.dropFirst() {
            let (shifted, overflow) = value.multipliedReportingOverflow(by: 256)
            if overflow { throw .invalidField("\(name) (it is too large)", at: offset) }
            value = shifted | Int64(byte)
        }
        return value
    }
}
