import CLinux

/// Open files laid one after the other, to be read as one.
///
/// Each is seen in the length that it had when it was added: one that grows is not seen longer, and where one has shrunk
/// there is nothing to be read. A sequence of one file has no bounds of its own. Reading a place costs no allocation and
/// no reference counting.
@safe public struct FileSequence: ~Copyable {
    /// Where a byte of the whole lies.
    public struct Place {
        public let descriptor: Int32
        /// In that file.
        public let offset: UInt64
        /// From there to the file's end as the sequence knows it.
        public let followingBytes: UInt64
    }

    /// A file behind the first: it begins where the one before ends.
    private struct Part {
        let start: UInt64
        let descriptor: Int32
    }

    public let first: FileDescriptor
    private let following: UnsafeMutableBufferPointer<Part>
    private var followingCount = 0
    /// All files together.
    public private(set) var totalBytes: UInt64

    /// Takes over an open file as the first.
    /// - Parameter capacity: files that there may be in all.
    public init(_ first: consuming FileDescriptor, lengthBytes: UInt64, capacity: Int = 1) {
        self.first = first
        totalBytes = lengthBytes
        // SAFETY: freed in deinit; only filled entries are read.
        unsafe following = .allocate(capacity: max(capacity, 1) - 1)
    }

    deinit {
        // SAFETY: filled entries, whose descriptors belong to this value.
        for index in 0..<followingCount { _ = unsafe FileDescriptor(owning: following[index].descriptor) }
        unsafe following.deallocate()
    }

    /// How many files there are.
    public var count: Int { followingCount &+ 1 }

    /// Takes over a further file, behind all others.
    /// - Throws: EFBIG when the whole would be longer than a file can be, E2BIG when there is no room for another file; the
    ///   sequence is unchanged then and the file closed.
    public mutating func append(_ file: consuming FileDescriptor, lengthBytes: UInt64) throws(LinuxError) {
        let (total, isTooLong) = totalBytes.addingReportingOverflow(lengthBytes)
        if isTooLong || total > UInt64(Int64.max) { throw LinuxError(EFBIG) }
        guard unsafe followingCount < following.count else { throw LinuxError(E2BIG) }
        // SAFETY: the entry lies inside the room.
        unsafe following.initializeElement(
            at: followingCount, to: Part(start: totalBytes, descriptor: file.release()))
        followingCount &+= 1
        totalBytes = total
    }

    /// Where the byte at `offset` of the whole lies. Beyond the end it lies behind the last file.
    @inline(__always)
    public borrowing func place(at offset: UInt64) -> Place {
        if followingCount == 0 { return Place(descriptor: first.number, offset: offset, followingBytes: .max) }
        return placeAmongMany(offset)
    }

    /// Which file has the byte at `offset` of the whole; the last one beyond the end.
    public borrowing func index(at offset: UInt64) -> Int {
        // The number of following files that begin at or before the offset.
        var low = 0
        var high = followingCount
        while low < high {
            let middle = (low &+ high) / 2
            // SAFETY: indexes stay among the filled ones.
            if unsafe following[middle].start <= offset { low = middle &+ 1 } else { high = middle }
        }
        return low
    }

    private borrowing func placeAmongMany(_ offset: UInt64) -> Place {
        let low = index(at: offset)
        let end = low < followingCount ? unsafe following[low].start : totalBytes
        let followingBytes = end > offset ? end &- offset : 0
        guard low > 0 else {
            return Place(descriptor: first.number, offset: offset, followingBytes: followingBytes)
        }
        let part = unsafe following[low &- 1]
        return Place(descriptor: part.descriptor, offset: offset &- part.start, followingBytes: followingBytes)
    }
}
