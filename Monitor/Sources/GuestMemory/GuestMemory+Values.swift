public import Synchronization

/// An integer that can be fetched from or stored to memory at once.
public protocol SingleAccessInteger: FixedWidthInteger {
    @unsafe static func load(from address: UnsafeMutableRawPointer) -> Self
    @unsafe static func store(_ value: Self, to address: UnsafeMutableRawPointer)
}

extension UInt8: SingleAccessInteger {
    @inlinable @inline(__always)
    public static func load(from address: UnsafeMutableRawPointer) -> UInt8 {
        unsafe address.assumingMemoryBound(to: Atomic<UInt8>.self).pointee.load(ordering: .relaxed)
    }

    @inlinable @inline(__always)
    public static func store(_ value: UInt8, to address: UnsafeMutableRawPointer) {
        unsafe address.assumingMemoryBound(to: Atomic<UInt8>.self).pointee.store(value, ordering: .relaxed)
    }
}

extension UInt16: SingleAccessInteger {
    @inlinable @inline(__always)
    public static func load(from address: UnsafeMutableRawPointer) -> UInt16 {
        unsafe address.assumingMemoryBound(to: Atomic<UInt16>.self).pointee.load(ordering: .relaxed)
    }

    @inlinable @inline(__always)
    public static func store(_ value: UInt16, to address: UnsafeMutableRawPointer) {
        unsafe address.assumingMemoryBound(to: Atomic<UInt16>.self).pointee.store(value, ordering: .relaxed)
    }
}

extension UInt32: SingleAccessInteger {
    @inlinable @inline(__always)
    public static func load(from address: UnsafeMutableRawPointer) -> UInt32 {
        unsafe address.assumingMemoryBound(to: Atomic<UInt32>.self).pointee.load(ordering: .relaxed)
    }

    @inlinable @inline(__always)
    public static func store(_ value: UInt32, to address: UnsafeMutableRawPointer) {
        unsafe address.assumingMemoryBound(to: Atomic<UInt32>.self).pointee.store(value, ordering: .relaxed)
    }
}

extension UInt64: SingleAccessInteger {
    @inlinable @inline(__always)
    public static func load(from address: UnsafeMutableRawPointer) -> UInt64 {
        unsafe address.assumingMemoryBound(to: Atomic<UInt64>.self).pointee.load(ordering: .relaxed)
    }

    @inlinable @inline(__always)
    public static func store(_ value: UInt64, to address: UnsafeMutableRawPointer) {
        unsafe address.assumingMemoryBound(to: Atomic<UInt64>.self).pointee.store(value, ordering: .relaxed)
    }
}

/// Little-endian integers, each fetched or stored in one access of its natural width.
extension GuestMemory {
    @unsafe @inlinable @inline(__always)
    func cell<T: FixedWidthInteger>(
        _ type: T.Type, _ address: GuestAddress
    ) throws(GuestMemoryError) -> UnsafeMutableRawPointer {
        let size = UInt64(truncatingIfNeeded: MemoryLayout<T>.size)
        guard address.isAligned(to: size) else { throw .misaligned(address) }
        return unsafe try checkedHost(address, size)
    }

    /// Reads without any order relative to other accesses.
    @inlinable @inline(__always)
    public func load<T: SingleAccessInteger>(
        _ type: T.Type, at address: GuestAddress
    ) throws(GuestMemoryError) -> T {
        // SAFETY: checked range and alignment; an atomic load makes the guest's concurrent writes harmless.
        unsafe T(littleEndian: T.load(from: try cell(T.self, address)))
    }

    /// Reads; what the guest wrote before it published this value is seen by later reads.
    @inlinable @inline(__always)
    public func loadAcquire(_ address: GuestAddress) throws(GuestMemoryError) -> UInt16 {
        // SAFETY: as above.
        let cell = unsafe try cell(UInt16.self, address).assumingMemoryBound(to: Atomic<UInt16>.self)
        return UInt16(littleEndian: unsafe cell.pointee.load(ordering: .acquiring))
    }

    /// Writes without any order relative to other accesses.
    @inlinable @inline(__always)
    public func store<T: SingleAccessInteger>(_ value: T, at address: GuestAddress) throws(GuestMemoryError) {
        // SAFETY: as above.
        unsafe T.store(value.littleEndian, to: try cell(T.self, address))
    }

    /// Writes; the guest that sees this value sees everything written before it.
    @inlinable @inline(__always)
    public func storeRelease(_ value: UInt16, at address: GuestAddress) throws(GuestMemoryError) {
        // SAFETY: as above.
        let cell = unsafe try cell(UInt16.self, address).assumingMemoryBound(to: Atomic<UInt16>.self)
        unsafe cell.pointee.store(value.littleEndian, ordering: .releasing)
    }
}

/// Orders all memory accesses before it against all after it, stores before loads included.
@inlinable @inline(__always)
public func fullMemoryBarrier() { atomicMemoryFence(ordering: .sequentiallyConsistent) }
