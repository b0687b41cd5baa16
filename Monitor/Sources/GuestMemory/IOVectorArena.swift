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

    /// Copies a list's vectors; returns the copy's address for the kernel, or nil when there is no room.
    public mutating func place(_ list: borrowing IOVectorList) -> UInt64? {
        let count = list.count
        guard hasRoom(for: count), let base = unsafe storage.baseAddress else { return nil }
        // SAFETY: room was checked; both ranges are this process's own.
        let place = unsafe base + used
        unsafe list.withVectors { vectors in
            for index in 0..<count { unsafe place[index] = vectors[index] }
        }
        used &+= count
        return UInt64(UInt(bitPattern: place))
    }
}
