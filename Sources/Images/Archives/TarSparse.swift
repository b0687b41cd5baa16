/// The four ways in which a tar says that a file has holes.
///
/// Source: GNU tar manual, "Storing Sparse Files": old GNU, PAX 0.0, PAX 0.1, PAX 1.0.
extension TarReader {
    /// The most pieces that one file may have.
    static let maximumExtents = 1 << 20

    /// Old GNU format: four pieces in the header itself, 21 in each extension block.
    func readOldSparseMap(_ header: TarHeader) throws(ArchiveError) -> (extents: [TarEntry.Extent], size: UInt64) {
        let size = try header.size(483)
        var extents: [TarEntry.Extent] = []
        var block = header
        var (start, slots, flag) = (386, 4, 482)
        while true {
            for slot in 0..<slots {
                let at = start + 24 * slot
                if block.bytes[at] == 0 { continue }
                extents.append(TarEntry.Extent(offset: try block.size(at), length: try block.size(at + 12)))
            }
            if block.bytes[flag] == 0 { break }
            guard extents.count < Self.maximumExtents else { throw tooManyExtents(header.offset) }
            block = TarHeader(try reader.readExactly(TarHeader.length), offset: reader.position)
            (start, slots, flag) = (0, 21, 504)
        }
        return (extents, size)
    }

    /// The three formats in pax records; nil when the entry is not sparse. In format 1.0 the map lies before the content and is
    /// read here: `storedBytes` is what is left.
    func readPaxSparseMap(
        _ records: PaxRecords, storedBytes: inout UInt64, at offset: UInt64
    ) throws(ArchiveError) -> (extents: [TarEntry.Extent], size: UInt64)? {
        if let major = try records.number("GNU.sparse.major", at: offset) {
            let minor = try records.number("GNU.sparse.minor", at: offset)
            guard major == 1, minor == 0 else { throw .unsupported("a sparse file of an unknown version", at: offset) }
            guard let size = try records.number("GNU.sparse.realsize", at: offset) else {
                throw .invalidField("sparse file (it has no size)", at: offset)
            }
            return (try readSparseMapBeforeContent(&storedBytes, at: offset), size)
        }
        guard let size = try records.number("GNU.sparse.size", at: offset) else { return nil }
        var numbers = records.sparseNumbers
        if let map = records["GNU.sparse.map"] {
            numbers = []
            for part in map.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
                guard let number = PaxRecords.decimal(part) else { throw .invalidField("sparse map", at: offset) }
                numbers.append(number)
            }
        }
        return (try pairs(numbers, at: offset), size)
    }

    /// Decimal numbers, a newline after each: how many pieces, then offset and length of each; padded to a whole block.
    private func readSparseMapBeforeContent(
        _ storedBytes: inout UInt64, at offset: UInt64
    ) throws(ArchiveError) -> [TarEntry.Extent] {
        var numbers: [UInt64] = []
        var digits: [UInt8] = []
        var wanted: Int?
        while wanted.map({ numbers.count < $0 }) ?? true {
            guard storedBytes >= UInt64(TarHeader.length) else { throw .invalidField("sparse map", at: offset) }
            storedBytes -= UInt64(TarHeader.length)
            for byte in try reader.readExactly(TarHeader.length) {
                if let wanted, numbers.count == wanted { break }
                guard byte == UInt8(ascii: "\n") else {
                    guard digits.count < 20 else { throw .invalidField("sparse map", at: offset) }
                    digits.append(byte)
                    continue
                }
                guard let number = PaxRecords.decimal(digits[...]) else {
                    throw .invalidField("sparse map", at: offset)
                }
                digits = []
                if wanted == nil {
                    guard number <= UInt64(Self.maximumExtents) else { throw tooManyExtents(offset) }
                    wanted = 2 * Int(number)
                } else {
                    numbers.append(number)
                }
            }
        }
        return try pairs(numbers, at: offset)
    }

    private func pairs(_ numbers: [UInt64], at offset: UInt64) throws(ArchiveError) -> [TarEntry.Extent] {
        guard numbers.count.isMultiple(of: 2) else { throw .invalidField("sparse map", at: offset) }
        guard numbers.count / 2 <= Self.maximumExtents else { throw tooManyExtents(offset) }
        return stride(from: 0, to: numbers.count, by: 2).map {
            TarEntry.Extent(offset: numbers[$0], length: numbers[$0 + 1])
        }
    }

    /// The pieces that hold something, once it is sure that they ascend, stay within the file and are all in the archive.
    func checked(
        _ extents: [TarEntry.Extent], size: UInt64, storedBytes: UInt64, at offset: UInt64
    ) throws(ArchiveError) -> [TarEntry.Extent] {
        var end: UInt64 = 0
        var sum: UInt64 = 0
        for extent in extents {
            let (next, overflow) = extent.offset.addingReportingOverflow(extent.length)
            guard !overflow, extent.offset >= end, next <= size else { throw .invalidField("sparse map", at: offset) }
            end = next
            sum += extent.length
        }
        guard sum == storedBytes else { throw .invalidField("sparse map (it does not fit the content)", at: offset) }
        return extents.filter { $0.length > 0 }
    }

    private func tooManyExtents(_ offset: UInt64) -> ArchiveError {
        .overBound("a sparse file has more than \(Self.maximumExtents) pieces", at: offset)
    }
}
