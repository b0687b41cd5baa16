public import GuestMemory
import WireFormats

/// The pages that a machine made from a snapshot has touched, so that the next one has them before it asks.
///
/// The file: "SWLTPAGE", major version (2 bytes), minor version (2), zero (4), the snapshot's identifier (16), the guest's
/// memory in bytes (8), how many runs of pages were read (4), how many were written (4), then these runs, each its first page
/// (4) and how many they are (4), and the CRC-64 of all before it (8). All numbers are little-endian.
public struct WorkingSet: Equatable, Sendable {
    private static let magic: [UInt8] = Array("SWLTPAGE".utf8)
    private static let major: UInt16 = 1
    private static let headerBytes = 48
    /// What a guest with 512 GiB has when it has touched every second page of a gibibyte.
    public static let maximumBytes = 1 << 20

    public var read: PageRuns
    public var written: PageRuns

    public init(read: PageRuns, written: PageRuns) {
        self.read = read
        self.written = written
    }

    /// Trust: the bytes may be anything. What comes out lies inside guest memory; a lie costs memory, no more than the guest
    /// has.
    /// - Returns: nil for what is no working set of that snapshot; it is only advice, and nobody is to be held up by it.
    public init?(decoding bytes: [UInt8], identifier: [UInt8], memoryBytes: UInt64) {
        guard bytes.count >= Self.headerBytes + 8, bytes.starts(with: Self.magic) else { return nil }
        var checksum = Checksum()
        checksum.add(bytes[..<(bytes.count - 8)])
        var end = LittleEndianReader(bytes[(bytes.count - 8)...])
        guard let wanted = try? end.read(UInt64.self), wanted == checksum.value else { return nil }
        var reader = LittleEndianReader(bytes[Self.magic.count..<(bytes.count - 8)])
        guard let version = try? reader.read(UInt16.self), version <= Self.major, (try? reader.readBytes(6)) != nil,
            let owner = try? reader.readBytes(MachineState.identifierBytes), owner == identifier,
            let size = try? reader.read(UInt64.self), size == memoryBytes,
            let readCount = try? reader.read(UInt32.self), let writtenCount = try? reader.read(UInt32.self),
            UInt64(reader.remaining) == (UInt64(readCount) + UInt64(writtenCount)) * UInt64(PageRuns.runBytes),
            let read = PageRuns(&reader, count: Int(readCount), memoryBytes: memoryBytes),
            let written = PageRuns(&reader, count: Int(writtenCount), memoryBytes: memoryBytes)
        else { return nil }
        self.init(read: read, written: written)
    }

    /// - Parameter identifier: of the snapshot that the machine was made from.
    public func encoded(identifier: [UInt8], memoryBytes: UInt64) -> [UInt8] {
        let runCount = read.runs.count + written.runs.count
        var writer = LittleEndianWriter(reserving: Self.headerBytes + runCount * PageRuns.runBytes + 8)
        writer.writeBytes(Self.magic)
        writer.write(Self.major)
        writer.write(0 as UInt16)
        writer.write(0 as UInt32)
        writer.writeBytes(identifier)
        writer.write(memoryBytes)
        writer.write(UInt32(truncatingIfNeeded: read.runs.count))
        writer.write(UInt32(truncatingIfNeeded: written.runs.count))
        read.write(to: &writer)
        written.write(to: &writer)
        var checksum = Checksum()
        checksum.add(writer.bytes[...])
        writer.write(checksum.value)
        return writer.bytes
    }
}
