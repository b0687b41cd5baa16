/// Sectors of 512 bytes: a disk, a file, or memory.
public protocol SectorStorage: ~Copyable {
    var sectorCount: Int { get }

    /// The bytes of `count` sectors from `first` on.
    /// - Throws: `device`, also where there are no such sectors.
    func read(_ count: Int, from first: Int) throws(FloppyError) -> [UInt8]

    /// Writes whole sectors from `first` on.
    mutating func write(_ bytes: [UInt8], at first: Int) throws(FloppyError)

    /// Returns when everything written before survives a power loss.
    mutating func flush() throws(FloppyError)
}

/// A floppy in memory.
public struct MemoryFloppy: SectorStorage, Sendable {
    public private(set) var bytes: [UInt8]

    /// What is left of a last sector that is not whole is not there.
    public init(_ bytes: [UInt8]) { self.bytes = bytes }

    public var sectorCount: Int { bytes.count / FAT12Volume.sectorBytes }

    public func read(_ count: Int, from first: Int) throws(FloppyError) -> [UInt8] {
        let range = try byteRange(first, count)
        return [UInt8](bytes[range])
    }

    public mutating func write(_ new: [UInt8], at first: Int) throws(FloppyError) {
        let range = try byteRange(first, new.count / FAT12Volume.sectorBytes)
        bytes.replaceSubrange(range, with: new.prefix(range.count))
    }

    public mutating func flush() {}

    private func byteRange(_ first: Int, _ count: Int) throws(FloppyError) -> Range<Int> {
        guard first >= 0, count >= 0, first <= sectorCount, count <= sectorCount - first else {
            throw .device(5)  // EIO, as a disk says it
        }
        return first * FAT12Volume.sectorBytes..<(first + count) * FAT12Volume.sectorBytes
    }
}
