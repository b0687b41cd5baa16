import CLinux

/// Bytes on their way to a descriptor that has no room now: first in, first out, with a fixed capacity.
///
/// Takes no memory until it is filled for the first time and gives it back when it is emptied.
@safe public struct ByteBacklog: ~Copyable {
    private var mapping: Mapping?
    private var start = 0
    /// A power of two.
    public let capacity: Int
    /// How many bytes wait.
    public private(set) var count = 0

    public init(capacity: Int) {
        precondition(capacity > 0 && capacity & (capacity - 1) == 0, "capacity must be a power of two")
        self.capacity = capacity
    }

    @inline(__always) public var isEmpty: Bool { count == 0 }
    /// How many more bytes there is room for.
    @inline(__always) public var freeBytes: Int { capacity - count }

    /// Lets `fill` write up to `byteCount` more bytes, in one or two pieces, and says how many were wanted in each.
    ///
    /// - Returns: whether there was room (and memory) for them; nothing is changed otherwise.
    public mutating func append<E>(
        byteCount: Int, _ fill: (UnsafeMutableRawBufferPointer) throws(E) -> Void
    ) throws(E) -> Bool {
        guard byteCount >= 0, byteCount <= freeBytes else { return false }
        if byteCount == 0 { return true }
        if mapping == nil {
            do throws(LinuxError) { mapping = try Mapping(anonymousBytes: capacity) } catch { return false }
        }
        guard let base = unsafe mapping?.base else { return false }
        let first = (start + count) & (capacity - 1)
        let firstBytes = min(byteCount, capacity - first)
        // SAFETY: both pieces lie in the mapping and hold no waiting bytes.
        unsafe try fill(UnsafeMutableRawBufferPointer(start: base + first, count: firstBytes))
        if firstBytes < byteCount {
            unsafe try fill(UnsafeMutableRawBufferPointer(start: base, count: byteCount - firstBytes))
        }
        count += byteCount
        return true
    }

    /// Sends as much as the socket takes; returns how many bytes that was.
    /// - Throws: what the kernel said other than EAGAIN; the bytes still wait then.
    public mutating func send(to descriptor: Int32) throws(LinuxError) -> Int {
        var sent = 0
        while count > 0, let base = unsafe mapping?.base {
            let piece = min(count, capacity - start)
            let taken: Int
            do throws(LinuxError) {
                // SAFETY: the piece lies in the mapping.
                taken = unsafe try StreamSocket.send(
                    descriptor, UnsafeRawBufferPointer(start: base + start, count: piece))
            } catch {
                if error.number == EAGAIN { return sent }
                throw error
            }
            sent += taken
            count -= taken
            start = (start + taken) & (capacity - 1)
            if taken < piece { return sent }
        }
        if count == 0 { removeAll() }
        return sent
    }

    /// Forgets the waiting bytes and gives the memory back.
    public mutating func removeAll() {
        count = 0
        start = 0
        mapping = nil
    }
}
