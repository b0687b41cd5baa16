public import GuestMemory
public import LinuxCalls
import WireFormats

/// The memory file of a differential snapshot: as long as guest memory, with the pages that changed in their places and holes
/// elsewhere; behind it the list of those pages, and in its last bytes what it is.
///
/// The list: the identifiers of the parents (16 bytes each), then the runs of pages, each its first page (4) and how many
/// they are (4). The last 64 bytes: "SWLTDIFF", major version (2), minor version (2), zero (4), the snapshot's identifier
/// (16), the guest's memory in bytes (8), how many parents there are (4), how many runs (4), the CRC-64 of the list (8), the
/// CRC-64 of these 56 bytes (8). All numbers are little-endian.
///
/// It can be laid over the memory of each of its parents: it has all pages that changed since the oldest of them.
public struct DifferentialImage: ~Copyable {
    private static let magic: [UInt8] = Array("SWLTDIFF".utf8)
    private static let major: UInt16 = 1
    private static let trailerBytes = 64
    /// As many snapshots of one life are remembered.
    public static let maximumParents = 4096

    public let file: FileDescriptor
    public let memoryBytes: UInt64
    public let identifier: [UInt8]
    public let parents: [[UInt8]]
    /// Among them pages of zeros, which are holes in the file.
    public let pages: PageRuns

    /// Trust: the file may hold anything. The list is whole and its pages lie inside guest memory; what stands in them is the
    /// guest's and nobody else's.
    public init(_ file: consuming FileDescriptor) throws(SnapshotError) {
        let length: UInt64
        let end: [UInt8]
        do throws(LinuxError) {
            length = try fileSizeBytes(file.number)
            guard length >= UInt64(Self.trailerBytes) else { throw LinuxError.invalidArgument }
            end = try readBytes(file.number, offset: length - UInt64(Self.trailerBytes), count: Self.trailerBytes)
        } catch { throw error == .invalidArgument ? .notDifferential : .file(error) }
        guard end.starts(with: Self.magic) else { throw .notDifferential }
        guard let trailer = Self.readTrailer(end) else { throw .damagedMemory }
        let (wanted, overflow) = trailer.memoryBytes.addingReportingOverflow(
            UInt64(trailer.listBytes + Self.trailerBytes))
        guard !overflow, length == wanted else { throw .memoryTooShort(found: length, wanted: wanted) }
        let list: [UInt8]
        do throws(LinuxError) {
            list = try readBytes(file.number, offset: trailer.memoryBytes, count: trailer.listBytes)
        } catch { throw .file(error) }
        var checksum = Checksum()
        checksum.add(list[...])
        guard checksum.value == trailer.listChecksum, let parts = Self.parse(list, trailer) else {
            throw .damagedMemory
        }
        memoryBytes = trailer.memoryBytes
        identifier = trailer.identifier
        parents = parts.parents
        pages = parts.pages
        self.file = file
    }

    /// Whether a file says that it is one.
    static func isMeant(by file: Int32, lengthBytes: UInt64) -> Bool {
        guard lengthBytes >= UInt64(trailerBytes) else { return false }
        let end = try? readBytes(file, offset: lengthBytes - UInt64(trailerBytes), count: magic.count)
        return end == magic
    }

    private struct Trailer {
        var identifier: [UInt8]
        var memoryBytes: UInt64
        var parentCount: Int
        var runCount: Int
        var listChecksum: UInt64
        var listBytes: Int { parentCount * MachineState.identifierBytes + runCount * 8 }
    }

    private static func readTrailer(_ bytes: [UInt8]) -> Trailer? {
        var checksum = Checksum()
        checksum.add(bytes[..<(trailerBytes - 8)])
        var reader = LittleEndianReader(bytes[magic.count...])
        guard let version = try? reader.read(UInt16.self), version <= major, (try? reader.readBytes(6)) != nil,
            let identifier = try? reader.readBytes(MachineState.identifierBytes),
            let memoryBytes = try? reader.read(UInt64.self), let parentCount = try? reader.read(UInt32.self),
            let runCount = try? reader.read(UInt32.self), let listChecksum = try? reader.read(UInt64.self),
            let own = try? reader.read(UInt64.self), own == checksum.value,
            memoryBytes % GuestMemory.pageBytes == 0, memoryBytes / GuestMemory.pageBytes <= UInt64(UInt32.max),
            parentCount <= maximumParents, UInt64(runCount) <= memoryBytes / GuestMemory.pageBytes
        else { return nil }
        return Trailer(
            identifier: identifier, memoryBytes: memoryBytes, parentCount: Int(parentCount), runCount: Int(runCount),
            listChecksum: listChecksum)
    }

    private static func parse(_ list: [UInt8], _ trailer: Trailer) -> (parents: [[UInt8]], pages: PageRuns)? {
        var reader = LittleEndianReader(list)
        var parents: [[UInt8]] = []
        for _ in 0..<trailer.parentCount {
            guard let parent = try? reader.readBytes(MachineState.identifierBytes) else { return nil }
            parents.append(parent)
        }
        guard let pages = PageRuns(&reader, count: trailer.runCount, memoryBytes: trailer.memoryBytes) else {
            return nil
        }
        return (parents, pages)
    }

    /// What stands behind the memory.
    public static func trailer(
        identifier: [UInt8], memoryBytes: UInt64, parents: [[UInt8]], pages: PageRuns
    ) -> [UInt8] {
        let listBytes = parents.count * MachineState.identifierBytes + pages.runs.count * 8
        var list = LittleEndianWriter(reserving: listBytes + trailerBytes)
        for parent in parents { list.writeBytes(parent) }
        pages.write(to: &list)
        var listChecksum = Checksum()
        listChecksum.add(list.bytes[...])
        var writer = LittleEndianWriter(reserving: trailerBytes)
        writer.writeBytes(magic)
        writer.write(major)
        writer.write(0 as UInt16)
        writer.write(0 as UInt32)
        writer.writeBytes(identifier)
        writer.write(memoryBytes)
        writer.write(UInt32(truncatingIfNeeded: parents.count))
        writer.write(UInt32(truncatingIfNeeded: pages.runs.count))
        writer.write(listChecksum.value)
        var checksum = Checksum()
        checksum.add(writer.bytes[...])
        writer.write(checksum.value)
        list.writeBytes(writer.bytes)
        return list.bytes
    }
}
