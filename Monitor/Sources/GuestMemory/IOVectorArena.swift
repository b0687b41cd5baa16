import CLinux
import LinuxCalls

/// A fixed room for the vectors of requests that are prepared and not yet handed to the kernel.
@safe public struct IOVectorArena: ~Copyable {
    private let storage: UnsafeMutableBufferPointer<IOVector>
    private var used = 0

    public init(capacity: Int) {
        // SAFETY: freed in deinit; the kernel has copied what it needs by then.
        unsafe storage = .allocate(capacity: capacity)
    }

    deinit { unsafe storage.deallocate() }

    /// Whether `count` more vectors fit.
    public func hasRoom(for count: Int) -> Bool { unsafe storage.count &- used >= count }

    /// Forgets all vectors; the kernel must have taken every request that names them.
    public mutating func removeAll() { used = 0 }

    /// Copies the vectors of a list's first bytes; returns the copy's address for the kernel and how many vectors they
    /// are, or nil when there is no room for the whole list.
    public mutating func place(
        _ list: borrowing IOVectorList, atMost bytes: UInt64 = .max
    ) -> (address: UInt64, count: Int)? {
        guard hasRoom(for: list.count), let base = unsafe storage.baseAddress else { return nil }
        var count = list.count
        // SAFETY: room was checked; both ranges are this process's own.
        let place = unsafe base + used
        unsafe list.withVectors { vectors in
            for index in 0..<count { unsafe place[index] = vectors[index] }
            if bytes >= list.totalBytes { return }
            var left = bytes
            count = 0
            while left > 0 {
                let part = unsafe min(UInt64(place[count].length), left)
                unsafe place[count].length = UInt(truncatingIfNeeded: part)
                left &-= part
                count &+= 1
            }
        }
        used &+= count
        return (UInt64(UInt(bitPattern: place)), count)
    }
}
