import CLinux

/// The length of a file or the capacity of a block device that somebody else has open.
public func fileSizeBytes(_ descriptor: Int32) throws(LinuxError) -> UInt64 {
    // SAFETY: no address is passed.
    UInt64(unsafe try systemCall(__NR_lseek, Int(descriptor), 0, endOfFile))
}

/// Sets a file's own position to its beginning, for whoever shares it.
public func rewindFile(_ descriptor: Int32) throws(LinuxError) {
    // SAFETY: no address is passed.
    unsafe try systemCall(__NR_lseek, Int(descriptor), 0, 0)
}

/// `count` bytes from `offset`, fewer only at the end of the file. The file's own position does not matter.
public func readBytes(_ descriptor: Int32, offset: UInt64, count: Int) throws(LinuxError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: max(count, 0))
    // SAFETY: the array is not resized during the call.
    let done = unsafe try bytes.withUnsafeMutableBufferPointer { buffer throws(LinuxError) in
        unsafe try readAll(descriptor, into: UnsafeMutableRawBufferPointer(buffer), offset: offset)
    }
    bytes.removeLast(bytes.count - done)
    return bytes
}

/// Whether the file's pages come from this machine's own disks or memory, so that mapping it costs no more than reading
/// it and another machine cannot take it away.
public func isOnLocalFileSystem(_ descriptor: Int32) -> Bool {
    switch fileSystemType(descriptor) {
    // 9p, FUSE, NFS, SMB (two generations), CIFS, Ceph.
    case 0x0102_1997, 0x6573_5546, 0x6969, 0x517b, 0xfe53_4d42, 0xff53_4d42, 0x00c3_6400, nil: false
    default: true
    }
}

/// The number of the kind of file system that a file lies in; nil when that cannot be had. Source: statfs(2).
public func fileSystemType(_ descriptor: Int32) -> UInt32? {
    // `struct statfs` has 120 bytes; its first word is the type.
    var words = InlineArray<16, UInt64>(repeating: 0)
    var span = words.mutableSpan
    // SAFETY: the kernel fills at most 120 of the 128 bytes, during the call.
    let result = unsafe span.withUnsafeMutableBytes { buffer in
        linux_system_call(
            Int(__NR_fstatfs), Int(descriptor), Int(bitPattern: buffer.baseAddress), 0, 0, 0, 0)
    }
    return result == 0 ? UInt32(truncatingIfNeeded: words[0]) : nil
}

/// The next run of bytes at or behind `offset` that is not a hole; nil when there is none.
/// Source: lseek(2), SEEK_DATA and SEEK_HOLE.
public func nextData(
    _ descriptor: Int32, from offset: UInt64
) throws(LinuxError) -> (start: UInt64, end: UInt64)? {
    do throws(LinuxError) {
        // SAFETY, for both: no address is passed.
        let start = unsafe try systemCall(__NR_lseek, Int(descriptor), Int(truncatingIfNeeded: offset), seekData)
        let end = unsafe try systemCall(__NR_lseek, Int(descriptor), start, seekHole)
        return (UInt64(start), UInt64(end))
    } catch {
        if error.number == ENXIO { return nil }
        throw error
    }
}

private let endOfFile = 2
private let seekData = 3
private let seekHole = 4
