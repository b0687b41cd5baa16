import CLinux
public import LinuxCalls

/// A list of I/O vectors over guest memory with a fixed room, filled again for each request without allocating.
///
/// The vectors point into guest memory and are for the kernel (`readv`, `writev` and the like); this process touches the
/// bytes only by copies.
@safe public struct IOVectorList: ~Copyable {
    let storage: UnsafeMutableBufferPointer<IOVector>
    /// Where the filled vectors begin; what lies before was dropped from the front.
    private(set) var first = 0
    /// How many vectors are filled.
    public private(set) var count = 0
    /// The bytes of all vectors together.
    public private(set) var totalBytes: UInt64 = 0

    public init(capacity: Int) {
        // SAFETY: freed in deinit; only the filled entries are ever read.
        unsafe storage = .allocate(capacity: capacity)
    }

    deinit { unsafe storage.deallocate() }

    public var capacity: Int { unsafe storage.count }

    /// Empties the list.
    @inline(__always)
    public mutating func removeAll() {
        first = 0
        count = 0
        totalBytes = 0
    }

    /// Appends a range of guest memory.
    /// - Throws: `outOfRange` or `tooManyVectors`; the list is unchanged then.
    @inline(__always)
    public mutating func append(
        _ memory: GuestMemory, _ address: GuestAddress, lengthBytes: UInt64
    ) throws(GuestMemoryError) {
        if lengthBytes == 0 { return }
        // SAFETY: the range is checked; guest memory stays mapped for as long as its devices run.
        let base = unsafe try memory.checkedHost(address, lengthBytes)
        guard unsafe first &+ count < storage.count else { throw .tooManyVectors }
        unsafe storage[first &+ count] = IOVector(base: base, length: UInt(truncatingIfNeeded: lengthBytes))
        count &+= 1
        totalBytes &+= lengthBytes
    }

    /// Appends a buffer of this process, such as a header that guest memory must not hold.
    /// - Safety: the buffer must outlive every use of the list.
    @unsafe public mutating func append(_ buffer: UnsafeMutableRawBufferPointer) throws(GuestMemoryError) {
        guard unsafe first &+ count < storage.count else { throw .tooManyVectors }
        unsafe storage[first &+ count] = IOVector(base: buffer.baseAddress, length: UInt(buffer.count))
        count &+= 1
        totalBytes &+= UInt64(buffer.count)
    }

    /// Drops the first `bytes` bytes, after a call that took only a part.
    public mutating func removeFirst(bytes: UInt64) {
        var left = min(bytes, totalBytes)
        totalBytes &-= left
        // SAFETY: indexes stay among the filled ones, and so do the addresses.
        while left > 0, count > 0 {
            let length = unsafe UInt64(storage[first].length)
            if length > left {
                unsafe storage[first].base += Int(truncatingIfNeeded: left)
                unsafe storage[first].length &-= UInt(truncatingIfNeeded: left)
                break
            }
            left &-= length
            first &+= 1
            count &-= 1
        }
    }

    /// Keeps only the first `bytes` bytes.
    public mutating func truncate(toBytes bytes: UInt64) {
        if bytes >= totalBytes { return }
        var left = bytes
        var index = 0
        // SAFETY: indexes stay among the filled ones.
        while index < count, left > 0 {
            let length = unsafe UInt64(storage[first &+ index].length)
            if length > left { unsafe storage[first &+ index].length = UInt(truncatingIfNeeded: left) }
            left &-= min(length, left)
            index &+= 1
        }
        count = index
        totalBytes = bytes
    }

    /// Calls `body` with the vectors of the first `bytes` bytes, which are not none.
    @inline(__always)
    public mutating func withVectors<R, E>(
        ofFirst bytes: UInt64, _ body: (UnsafeBufferPointer<IOVector>) throws(E) -> R
    ) throws(E) -> R {
        if bytes >= totalBytes { return unsafe try withVectors(body) }
        var last = first
        var left = bytes
        // SAFETY: the list holds more bytes than are looked for, so that indexes stay among the filled ones.
        while unsafe UInt64(storage[last].length) < left {
            left &-= unsafe UInt64(storage[last].length)
            last &+= 1
        }
        // One vector is shorter during the call.
        let length = unsafe storage[last].length
        unsafe storage[last].length = UInt(truncatingIfNeeded: left)
        defer { unsafe storage[last].length = length }
        return unsafe try body(UnsafeBufferPointer(rebasing: storage[first...last]))
    }

    /// Calls `body` with the vectors behind the first `bytes` bytes, which are fewer than all.
    @inline(__always)
    public mutating func withVectors<R, E>(
        skipping bytes: UInt64, _ body: (UnsafeBufferPointer<IOVector>) throws(E) -> R
    ) throws(E) -> R {
        var begin = first
        var left = bytes
        // SAFETY: the list holds more bytes than are passed over, so that indexes stay among the filled ones.
        while unsafe UInt64(storage[begin].length) <= left {
            left &-= unsafe UInt64(storage[begin].length)
            begin &+= 1
        }
        // One vector is shorter during the call.
        let whole = unsafe storage[begin]
        unsafe storage[begin].base += Int(truncatingIfNeeded: left)
        unsafe storage[begin].length &-= UInt(truncatingIfNeeded: left)
        defer { unsafe storage[begin] = whole }
        return unsafe try body(UnsafeBufferPointer(rebasing: storage[begin..<first &+ count]))
    }

    /// Calls `body` with the filled vectors.
    @inline(__always)
    public borrowing func withVectors<R, E>(
        _ body: (UnsafeBufferPointer<IOVector>) throws(E) -> R
    ) throws(E) -> R {
        unsafe try body(UnsafeBufferPointer(rebasing: storage[first..<first &+ count]))
    }
}
