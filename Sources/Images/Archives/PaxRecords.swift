/// The `key=value` records of a pax extended header.
///
/// Source: POSIX.1-2017 pax, "pax Extended Header"; GNU tar manual, "Storing Sparse Files"; star(5) for `SCHILY.*`.
struct PaxRecords {
    /// The most bytes that one extended header may have.
    static let maximumBytes: UInt64 = 4 << 20

    /// In the order in which they stand, later ones meaning more.
    private(set) var values: [String: [UInt8]] = [:]
    private(set) var attributes: [TarEntry.ExtendedAttribute] = []
    /// `GNU.sparse.offset` and `GNU.sparse.numbytes`, which stand many times each (format 0.0).
    private(set) var sparseNumbers: [UInt64] = []

    /// Takes in a header's content: each record is its own length in decimal, a space, the key, `=`, the value, a newline.
    mutating func merge(_ content: [UInt8], at offset: UInt64) throws(ArchiveError) {
        var rest = content[...]
        while !rest.isEmpty {
            // Some writers pad the last record with zeros.
            if rest.allSatisfy({ $0 == 0 }) { return }
            guard let space = rest.prefix(20).firstIndex(of: UInt8(ascii: " ")),
                let length = Self.decimal(rest[rest.startIndex..<space]), length <= UInt64(rest.count)
            else { throw .invalidField("pax record length", at: offset) }
            let end = rest.startIndex + Int(length)
            guard end > space + 1, rest[end - 1] == UInt8(ascii: "\n") else {
                throw .invalidField("pax record", at: offset)
            }
            let record = rest[(space + 1)..<(end - 1)]
            guard let equals = record.firstIndex(of: UInt8(ascii: "=")), equals > record.startIndex else {
                throw .invalidField("pax record (it has no key)", at: offset)
            }
            try take(key: Array(record[..<equals]), value: Array(record[(equals + 1)...]), at: offset)
            rest = rest[end...]
        }
    }

    private static let attributePrefix = Array("SCHILY.xattr.".utf8)

    private mutating func take(key: [UInt8], value: [UInt8], at offset: UInt64) throws(ArchiveError) {
        if key.starts(with: Self.attributePrefix) {
            setAttribute(Array(key.dropFirst(Self.attributePrefix.count)), value)
            return
        }
        let name = String(decoding: key, as: UTF8.self)
        switch name {
        case "RHT.security.selinux": setAttribute(Array("security.selinux".utf8), value)
        case "GNU.sparse.offset", "GNU.sparse.numbytes":
            guard let number = Self.decimal(value[...]) else { throw .invalidField(name, at: offset) }
            // Offset and length alternate; an offset out of turn is an error of the archive.
            guard sparseNumbers.count.isMultiple(of: 2) == (name == "GNU.sparse.offset") else {
                throw .invalidField("sparse map", at: offset)
            }
            sparseNumbers.append(number)
        default: values[name] = value
        }
    }

    private mutating func setAttribute(_ name: [UInt8], _ value: [UInt8]) {
        attributes.removeAll { $0.name == name }
        attributes.append(TarEntry.ExtendedAttribute(name: name, value: value))
    }

    /// The records of `later` stand above these.
    func merged(with later: PaxRecords) -> PaxRecords {
        var result = self
        result.values.merge(later.values) { $1 }
        for attribute in later.attributes { result.setAttribute(attribute.name, attribute.value) }
        result.sparseNumbers = later.sparseNumbers
        return result
    }

    /// A value that is there and not empty: an empty one means "as if there were no record".
    subscript(_ key: String) -> [UInt8]? {
        guard let value = values[key], !value.isEmpty else { return nil }
        return value
    }

    func number(_ key: String, at offset: UInt64) throws(ArchiveError) -> UInt64? {
        guard let value = self[key] else { return nil }
        guard let number = Self.decimal(value[...]) else { throw .invalidField(key, at: offset) }
        return number
    }

    func identifier(_ key: String, at offset: UInt64) throws(ArchiveError) -> UInt32? {
        guard let value = try number(key, at: offset) else { return nil }
        guard let identifier = UInt32(exactly: value) else { throw .invalidField(key, at: offset) }
        return identifier
    }

    /// Seconds with a fraction, perhaps negative: `-1.25` is 1.25 seconds before 1970.
    func time(_ key: String, at offset: UInt64) throws(ArchiveError) -> (seconds: Int64, nanoseconds: UInt32)? {
        guard let value = self[key] else { return nil }
        let isNegative = value.first == UInt8(ascii: "-")
        let parts = value.dropFirst(isNegative ? 1 : 0).split(
            separator: UInt8(ascii: "."), maxSplits: 1, omittingEmptySubsequences: false)
        guard let whole = parts.first.flatMap(Self.decimal), let seconds = Int64(exactly: whole) else {
            throw .invalidField(key, at: offset)
        }
        var nanoseconds: UInt32 = 0
        if parts.count > 1 {
            let digits = parts[1].prefix(9)
            guard parts[1].allSatisfy(Self.isDigit) else { throw .invalidField(key, at: offset) }
            for digit in digits { nanoseconds = nanoseconds * 10 + UInt32(digit - UInt8(ascii: "0")) }
            for _ in digits.count..<9 { nanoseconds *= 10 }
        }
        guard isNegative else { return (seconds, nanoseconds) }
        return nanoseconds == 0 ? (-seconds, 0) : (-seconds - 1, 1_000_000_000 - nanoseconds)
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    /// A decimal number of at least one digit that fits.
    static func decimal(_ digits: ArraySlice<UInt8>) -> UInt64? {
        guard !digits.isEmpty else { return nil }
        var value: UInt64 = 0
        for digit in digits {
            guard isDigit(digit) else { return nil }
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(UInt64(digit - UInt8(ascii: "0")))
            if overflow || carry { return nil }
            value = sum
        }
        return value
    }
}
