import CLinux
import GuestMemory
public import LinuxCalls

/// What a guest's flush means.
public enum BlockCache: Equatable, Sendable {
    /// Flush is not offered: a crash of the host may lose what the guest believes written.
    case unsafe
    /// A flush returns when everything written before is on the host's disk. A guest that does not know flushes gets
    /// every write through to the disk.
    case writeback
}

/// What lies behind a disk: a file or block device, or several laid one after the other.
public struct BlockBackend: ~Copyable {
    static let sectorBytes: UInt64 = 512
    /// RWF_DSYNC.
    static let throughToDisk: UInt32 = 2
    /// FALLOC_FL_PUNCH_HOLE and FALLOC_FL_ZERO_RANGE, both with FALLOC_FL_KEEP_SIZE.
    static let punchHole: Int32 = 0x03
    static let zeroRange: Int32 = 0x11

    /// A disk of several is read-only: all that writes goes to the first file.
    let files: FileSequence
    public let isReadOnly: Bool
    public let cache: BlockCache
    /// Whole sectors; a rest of the file is not seen.
    public let capacitySectors: UInt64

    /// Takes over an open file.
    ///
    /// - Throws: EISDIR for a directory, EINVAL for what is neither a file nor a block device, or smaller than a sector.
    public init(
        _ file: consuming FileDescriptor, isReadOnly: Bool, cache: BlockCache = .unsafe
    ) throws(LinuxError) {
        let lengthBytes = try Self.lengthBytes(of: file)
        let sectors = lengthBytes / Self.sectorBytes
        if sectors == 0 { throw LinuxError(EINVAL) }
        capacitySectors = sectors
        files = FileSequence(file, lengthBytes: lengthBytes)
        self.isReadOnly = isReadOnly
        self.cache = cache
    }

    /// Opens a file or block device; what would make others wait, or is neither, is refused.
    public init(path: String, isReadOnly: Bool, cache: BlockCache = .unsafe) throws(LinuxError) {
        let flags: OpenFlags = isReadOnly ? [.readOnly, .nonBlocking] : [.readWrite, .nonBlocking]
        try self.init(open(path, flags), isReadOnly: isReadOnly, cache: cache)
    }

    /// A read-only disk of several files, each of whole sectors.
    public init(readOnly files: consuming FileSequence) {
        capacitySectors = files.totalBytes / Self.sectorBytes
        self.files = files
        isReadOnly = true
        cache = .unsafe
    }

    /// How long a file or block device is.
    /// - Throws: EISDIR for a directory, EINVAL for what is neither a file nor a block device.
    public static func lengthBytes(of file: borrowing FileDescriptor) throws(LinuxError) -> UInt64 {
        switch try file.kind() {
        case .regular, .blockDevice: break
        case .directory: throw LinuxError(EISDIR)
        case .other: throw LinuxError(EINVAL)
        }
        return try file.sizeBytes()
    }

    /// Fills the list's bytes from the files, in as many calls as it takes; the list is used up.
    /// - Throws: EIO when a file ends before, else what the kernel answers.
    borrowing func read(_ list: inout IOVectorList, offset: UInt64) throws(LinuxError) {
        var place = offset
        while list.totalBytes > 0 {
            let source = files.place(at: place)
            // SAFETY: guest memory stays mapped.
            let count = unsafe try list.withVectors(ofFirst: source.followingBytes) { vectors throws(LinuxError) in
                unsafe try VectoredIO.read(source.descriptor, vectors, offset: source.offset)
            }
            if count == 0 { throw LinuxError(EIO) }
            place &+= UInt64(count)
            list.removeFirst(bytes: UInt64(count))
        }
    }

    /// Writes the list's bytes to the file; the list is used up.
    borrowing func write(_ list: inout IOVectorList, offset: UInt64, flags: UInt32) throws(LinuxError) {
        var place = offset
        while list.totalBytes > 0 {
            // SAFETY: guest memory stays mapped.
            let count = unsafe try list.withVectors { vectors throws(LinuxError) in
                unsafe try VectoredIO.write(files.first.number, vectors, offset: place, flags: Int(flags))
            }
            if count == 0 { throw LinuxError(EIO) }
            place &+= UInt64(count)
            list.removeFirst(bytes: UInt64(count))
        }
    }

    /// Makes a range read as zero, whatever the file system can do.
    borrowing func writeZeroes(offset: UInt64, lengthBytes: UInt64, mode: Int32) throws(LinuxError) {
        do throws(LinuxError) {
            try files.first.allocate(mode: mode, offset: offset, lengthBytes: lengthBytes)
        } catch {
            guard error.number == EOPNOTSUPP else { throw error }
            try writeZeroBytes(offset: offset, lengthBytes: lengthBytes)
        }
    }

    private borrowing func writeZeroBytes(offset: UInt64, lengthBytes: UInt64) throws(LinuxError) {
        // Never written, so the host backs it with its one page of zeroes.
        let zeroes = try Mapping(anonymousBytes: 1 << 16)
        var list = IOVectorList(capacity: 1)
        var done: UInt64 = 0
        while done < lengthBytes {
            let count = min(lengthBytes &- done, UInt64(zeroes.lengthBytes))
            list.removeAll()
            // SAFETY: the mapping lives until the end of this function. The list has room for one vector.
            unsafe try? list.append(UnsafeMutableRawBufferPointer(start: zeroes.base, count: Int(count)))
            try write(&list, offset: offset &+ done, flags: 0)
            done &+= count
        }
    }
}
