public import CLinux

/// One piece of a vectored read or write, laid out as `struct iovec`.
public typealias IOVector = linux_io_vector

/// Reads at most `buffer.count` bytes at the file's own position. Zero means end of file.
@inline(__always)
public func read(_ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer) throws(LinuxError) -> Int {
    // SAFETY: the kernel writes only inside the buffer, during the call.
    unsafe try systemCallRestarting(__NR_read, Int(descriptor), Int(bitPattern: buffer.baseAddress), buffer.count)
}

/// Reads at most `maximumBytes`, appended to `bytes`; returns how many came. Zero means end of file.
public func read(
    _ descriptor: Int32, appendingTo bytes: inout [UInt8], maximumBytes: Int
) throws(LinuxError) -> Int {
    let before = bytes.count
    bytes.append(contentsOf: repeatElement(0, count: maximumBytes))
    var count = 0
    defer { bytes.removeLast(maximumBytes - count) }
    // SAFETY: the array is not resized during the call.
    count = unsafe try bytes.withUnsafeMutableBufferPointer { buffer throws(LinuxError) in
        unsafe try read(
            descriptor, into: UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[before...]))
    }
    return count
}

/// Reads at most `maximumBytes` to the start of `buffer`, at the file's own position. Zero means end of file.
public func read(
    _ descriptor: Int32, into buffer: inout MutableSpan<UInt8>, maximumBytes: Int
) throws(LinuxError) -> Int {
    // SAFETY: the kernel writes only inside the span, during the call.
    unsafe try buffer.withUnsafeMutableBytes { bytes throws(LinuxError) in
        unsafe try read(descriptor, into: UnsafeMutableRawBufferPointer(rebasing: bytes.prefix(maximumBytes)))
    }
}

/// Writes at the file's own position; returns how many bytes were taken.
public func write(_ descriptor: Int32, _ bytes: Span<UInt8>) throws(LinuxError) -> Int {
    // SAFETY: the kernel reads only inside the span, during the call.
    unsafe try bytes.withUnsafeBytes { bytes throws(LinuxError) in unsafe try write(descriptor, bytes) }
}

/// Writes at the file's own position; returns how many bytes were taken.
@inline(__always)
public func write(_ descriptor: Int32, _ buffer: UnsafeRawBufferPointer) throws(LinuxError) -> Int {
    // SAFETY: the kernel reads only inside the buffer, during the call.
    unsafe try systemCallRestarting(__NR_write, Int(descriptor), Int(bitPattern: buffer.baseAddress), buffer.count)
}

/// Writes all bytes to a blocking descriptor.
public func writeAll(_ descriptor: Int32, _ buffer: UnsafeRawBufferPointer) throws(LinuxError) {
    var written = 0
    while written < buffer.count {
        // SAFETY: a part of the caller's buffer.
        written += unsafe try write(descriptor, UnsafeRawBufferPointer(rebasing: buffer[written...]))
    }
}

/// Writes all bytes to a blocking descriptor.
public func writeAll(_ descriptor: Int32, _ bytes: [UInt8]) throws(LinuxError) {
    // SAFETY: the array outlives the call.
    unsafe try bytes.withUnsafeBufferPointer { buffer throws(LinuxError) in
        unsafe try writeAll(descriptor, UnsafeRawBufferPointer(buffer))
    }
}

/// Writes text as UTF-8 to a blocking descriptor.
public func writeAll(_ descriptor: Int32, _ text: String) throws(LinuxError) {
    try writeAll(descriptor, Array(text.utf8))
}

/// Writes all bytes at `offset` of a file.
public func writeAll(
    _ descriptor: Int32, _ buffer: UnsafeRawBufferPointer, offset: UInt64
) throws(LinuxError) {
    var done = 0
    while done < buffer.count {
        // SAFETY: the kernel reads only inside the rest of the buffer.
        let rest = unsafe UnsafeRawBufferPointer(rebasing: buffer[done...])
        done += unsafe try systemCallRestarting(
            __NR_pwrite64, Int(descriptor), Int(bitPattern: rest.baseAddress), rest.count,
            Int(truncatingIfNeeded: offset) + done)
    }
}

/// Writes all bytes at `offset` of a file.
public func writeAll(_ descriptor: Int32, _ bytes: [UInt8], offset: UInt64) throws(LinuxError) {
    // SAFETY: the array outlives the call.
    unsafe try bytes.withUnsafeBufferPointer { buffer throws(LinuxError) in
        unsafe try writeAll(descriptor, UnsafeRawBufferPointer(buffer), offset: offset)
    }
}

/// Reads exactly `buffer.count` bytes from `offset`; returns fewer only at the end of the file.
public func readAll(
    _ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer, offset: UInt64
) throws(LinuxError) -> Int {
    var done = 0
    while done < buffer.count {
        // SAFETY: the kernel writes only inside the rest of the buffer.
        let count = unsafe try systemCallRestarting(
            __NR_pread64, Int(descriptor), Int(bitPattern: buffer.baseAddress) + done, buffer.count - done,
            Int(truncatingIfNeeded: offset) + done)
        if count == 0 { break }
        done += count
    }
    return done
}

/// Reads `count` bytes from `offset` of a file to `place` of a room; returns fewer only at the end of the file.
public func readAll(
    _ descriptor: Int32, into room: borrowing ByteRoom, _ place: Int, count: Int, offset: UInt64
) throws(LinuxError) -> Int {
    // SAFETY: the bytes lie in the room, which is borrowed for the call.
    unsafe try readAll(descriptor, into: room.bytes(place, count), offset: offset)
}

/// `readv`, `writev` and their positioned forms over prepared vectors.
///
/// - Safety: every vector must point to memory that stays mapped during the call.
public enum VectoredIO {
    @unsafe @inline(__always)
    public static func read(
        _ descriptor: Int32, _ vectors: UnsafeBufferPointer<IOVector>
    ) throws(LinuxError) -> Int {
        unsafe try systemCallRestarting(
            __NR_readv, Int(descriptor), Int(bitPattern: vectors.baseAddress), vectors.count)
    }

    @unsafe @inline(__always)
    public static func write(
        _ descriptor: Int32, _ vectors: UnsafeBufferPointer<IOVector>
    ) throws(LinuxError) -> Int {
        unsafe try systemCallRestarting(
            __NR_writev, Int(descriptor), Int(bitPattern: vectors.baseAddress), vectors.count)
    }

    @unsafe @inline(__always)
    public static func read(
        _ descriptor: Int32, _ vectors: UnsafeBufferPointer<IOVector>, offset: UInt64
    ) throws(LinuxError) -> Int {
        unsafe try systemCallRestarting(
            __NR_preadv, Int(descriptor), Int(bitPattern: vectors.baseAddress), vectors.count,
            Int(truncatingIfNeeded: offset))
    }

    /// - Parameter flags: `RWF_` flags; 2 (RWF_DSYNC) returns when the bytes are on the disk.
    @unsafe @inline(__always)
    public static func write(
        _ descriptor: Int32, _ vectors: UnsafeBufferPointer<IOVector>, offset: UInt64, flags: Int = 0
    ) throws(LinuxError) -> Int {
        unsafe try systemCallRestarting(
            __NR_pwritev2, Int(descriptor), Int(bitPattern: vectors.baseAddress), vectors.count,
            Int(truncatingIfNeeded: offset), 0, flags)
    }
}

extension FileDescriptor {
    /// The file's length in bytes; a block device's capacity.
    public func sizeBytes() throws(LinuxError) -> UInt64 {
        // SAFETY: no address is passed.
        UInt64(unsafe try systemCall(__NR_lseek, Int(number), 0, 2))
    }
}

/// Reads at most `bytes.count` bytes over the beginning of `bytes`; returns how many came. Zero means end of file.
public func read(_ descriptor: Int32, over bytes: inout [UInt8]) throws(LinuxError) -> Int {
    // SAFETY: the kernel writes only inside the array.
    unsafe try bytes.withUnsafeMutableBufferPointer { buffer throws(LinuxError) in
        unsafe try read(descriptor, into: UnsafeMutableRawBufferPointer(buffer))
    }
}

/// Writes at the file's own position; returns how many bytes were taken.
public func write(_ descriptor: Int32, _ bytes: ArraySlice<UInt8>) throws(LinuxError) -> Int {
    // SAFETY: the array outlives the call.
    unsafe try bytes.withUnsafeBufferPointer { buffer throws(LinuxError) in
        unsafe try write(descriptor, UnsafeRawBufferPointer(buffer))
    }
}
