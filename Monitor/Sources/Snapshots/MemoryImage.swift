public import GuestMemory
public import LinuxCalls
import WireFormats

/// The memory file: guest memory as it lies in its regions, low memory first, then the blocks that were plugged, in rising order,
/// and one page behind it that says which snapshot it belongs to.
///
/// The last page: "SWLTMEMO", major version (2 bytes), minor version (2), zero (4), the snapshot's identifier (16), how many
/// bytes lie before (8), the CRC-64 of these 40 bytes (8). All numbers are little-endian.
public struct MemoryImage: ~Copyable {
    public static let trailerBytes = 4096
    private static let magic: [UInt8] = Array("SWLTMEMO".utf8)
    private static let major: UInt16 = 1

    /// Read-only; its first `lengthBytes` are the guest's.
    public let file: FileDescriptor
    /// What the guest began with.
    public let memoryBytes: UInt64
    /// With what was plugged.
    let lengthBytes: UInt64

    /// Takes a memory file when it is the one that belongs to a state. Trust: the file may hold anything; its bytes become
    /// the guest's and nobody else's.
    public init(
        _ file: consuming FileDescriptor, identifier: [UInt8], memoryBytes: UInt64, pluggedBytes: UInt64 = 0
    ) throws(SnapshotError) {
        let (lengthBytes, isTooLong) = memoryBytes.addingReportingOverflow(pluggedBytes)
        let length: UInt64
        let trailer: [UInt8]
        do throws(LinuxError) {
            length = try fileSizeBytes(file.number)
            trailer = try readBytes(file.number, offset: lengthBytes, count: Self.trailerBytes)
        } catch { throw .file(error) }
        if DifferentialImage.isMeant(by: file.number, lengthBytes: length) { throw .differentialMemory }
        let (wanted, overflow) = lengthBytes.addingReportingOverflow(UInt64(Self.trailerBytes))
        guard !overflow, !isTooLong, length >= wanted else { throw .memoryTooShort(found: length, wanted: wanted) }
        let expected = Self.trailer(identifier: identifier, memoryBytes: lengthBytes)
        guard trailer.starts(with: expected) else { throw .foreignMemory }
        self.file = file
        self.lengthBytes = lengthBytes
        self.memoryBytes = memoryBytes
    }

    /// The identifier of the snapshot that a full memory file says it belongs to, and how much memory it has, with what was
    /// plugged. Trust: the file
    /// may hold anything.
    public static func readTrailer(_ file: Int32) throws(SnapshotError) -> (identifier: [UInt8], memoryBytes: UInt64) {
        let length: UInt64
        let bytes: [UInt8]
        do throws(LinuxError) {
            length = try fileSizeBytes(file)
            guard length >= UInt64(trailerBytes) else { throw LinuxError.invalidArgument }
            bytes = try readBytes(file, offset: length - UInt64(trailerBytes), count: 48)
        } catch { throw error == .invalidArgument ? .notFull : .file(error) }
        let memoryBytes = length - UInt64(trailerBytes)
        guard bytes.count == 48, bytes.starts(with: magic) else { throw .notFull }
        let identifier = [UInt8](bytes[16..<32])
        guard bytes == trailer(identifier: identifier, memoryBytes: memoryBytes) else { throw .damagedMemory }
        return (identifier, memoryBytes)
    }

    consuming func takeFile() -> FileDescriptor { file }

    /// The file once more, for what was plugged; nil when nothing was.
    public func pluggedFile() throws(LinuxError) -> FileDescriptor? {
        lengthBytes > memoryBytes ? try file.duplicate() : nil
    }

    /// The bytes that stand behind the memory.
    public static func trailer(identifier: [UInt8], memoryBytes: UInt64) -> [UInt8] {
        var writer = LittleEndianWriter(reserving: 48)
        writer.writeBytes(magic)
        writer.write(major)
        writer.write(0 as UInt16)
        writer.write(0 as UInt32)
        writer.writeBytes(identifier)
        writer.write(memoryBytes)
        var checksum = Checksum()
        checksum.add(writer.bytes[...])
        writer.write(checksum.value)
        return writer.bytes
    }
}

extension GuestMemory {
    /// Guest memory that begins as the image and keeps what the guest writes to itself.
    public convenience init(image: consuming MemoryImage) throws(LinuxError) {
        try self.init(totalBytes: image.memoryBytes, image: image.takeFile())
    }
}
