import CLinux

/// A fixed room of bytes that costs memory only as far as it was ever touched.
///
/// An offset outside is our bug and traps: what a guest says is checked before.
@safe public struct ByteRoom: ~Copyable {
    private let mapping: Mapping
    public let capacity: Int

    public init(capacity: Int) throws(LinuxError) {
        mapping = try Mapping(sparseBytes: capacity)
        self.capacity = capacity
    }

    /// Gives the memory back; every byte is zero afterwards.
    public func removeAll() {
        // SAFETY: the range is this owner's own. MADV_DONTNEED is 4.
        _ = unsafe linux_system_call(Int(__NR_madvise), Int(bitPattern: mapping.base), capacity, 4, 0, 0, 0)
    }

    @inline(__always)
    public func load<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type = T.self, at offset: Int) -> T {
        check(offset, MemoryLayout<T>.size)
        // SAFETY: the range was checked.
        return T(littleEndian: unsafe mapping.base.loadUnaligned(fromByteOffset: offset, as: T.self))
    }

    @inline(__always)
    public func store<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, at offset: Int) {
        check(offset, MemoryLayout<T>.size)
        // SAFETY: the range was checked.
        unsafe mapping.base.storeBytes(of: value.littleEndian, toByteOffset: offset, as: T.self)
    }

    public func fill(_ offset: Int, count: Int, with byte: UInt8 = 0) {
        check(offset, count)
        // SAFETY: the range was checked.
        unsafe (mapping.base + offset).initializeMemory(as: UInt8.self, repeating: byte, count: count)
    }

    /// Copies bytes of another room.
    public func copy(_ source: borrowing ByteRoom, from sourceOffset: Int, count: Int, to offset: Int) {
        check(offset, count)
        source.check(sourceOffset, count)
        // SAFETY: both ranges were checked; they may overlap where the rooms are one.
        unsafe memmoveBytes(mapping.base + offset, source.mapping.base + sourceOffset, count)
    }

    /// Where the first zero byte at or behind `offset` is, before `end`.
    public func firstZero(from offset: Int, before end: Int) -> Int? {
        check(offset, max(end - offset, 0))
        var place = offset
        while place < end {
            // SAFETY: the range was checked.
            if unsafe mapping.base.load(fromByteOffset: place, as: UInt8.self) == 0 { return place }
            place &+= 1
        }
        return nil
    }

    /// Whether these bytes lie at `offset`.
    public func holds(_ bytes: StaticString, at offset: Int, before end: Int) -> Bool {
        guard end - offset >= bytes.utf8CodeUnitCount else { return false }
        check(offset, bytes.utf8CodeUnitCount)
        for index in 0..<bytes.utf8CodeUnitCount {
            // SAFETY: both ranges were checked.
            if unsafe mapping.base.load(fromByteOffset: offset + index, as: UInt8.self) != bytes.utf8Start[index] {
                return false
            }
        }
        return true
    }

    /// The name at `offset`, as system calls take it: up to a zero byte, which must be there before the room's end.
    public func name(at offset: Int) -> KernelName {
        check(offset, 1)
        return KernelName(address: Int(bitPattern: unsafe mapping.base + offset))
    }

    /// The room from `offset` on, for calls that fill or read it.
    @inline(__always)
    func address(_ offset: Int, _ count: Int) -> Int {
        check(offset, count)
        return Int(bitPattern: unsafe mapping.base + offset)
    }

    /// For copies between the room and lists over guest memory.
    /// - Safety: only while the room is borrowed.
    @unsafe public func bytes(_ offset: Int, _ count: Int) -> UnsafeMutableRawBufferPointer {
        check(offset, count)
        return unsafe UnsafeMutableRawBufferPointer(start: mapping.base + offset, count: count)
    }

    /// The words that lie there, of this machine's byte order.
    @_lifetime(borrow self)
    public func words(_ offset: Int, count: Int) -> Span<UInt32> {
        check(offset, count * 4)
        precondition(offset % 4 == 0, "outside the room")
        // SAFETY: the range was checked, and stays mapped while the room is borrowed.
        let words = unsafe UnsafeBufferPointer(
            start: UnsafePointer((mapping.base + offset).assumingMemoryBound(to: UInt32.self)), count: count)
        return unsafe _overrideLifetime(Span(_unsafeElements: words), borrowing: self)
    }

    @inline(__always)
    private func check(_ offset: Int, _ count: Int) {
        precondition(offset >= 0 && count >= 0 && count <= capacity && offset <= capacity - count, "outside the room")
    }
}

/// A name in a `ByteRoom`, good for as long as the room lives and the name stays in it.
public struct KernelName {
    let address: Int
}

@inline(__always)
private func memmoveBytes(_ target: UnsafeMutableRawPointer, _ source: UnsafeMutableRawPointer, _ count: Int) {
    // SAFETY: the caller has checked both ranges.
    unsafe target.copyMemory(from: source, byteCount: count)
}

/// A table of fixed size that costs memory only as far as it was ever touched; every element begins as zero bytes.
///
/// - Note: `Element` must be made of integers only, so that zero bytes are one.
@safe public struct ZeroedTable<Element: BitwiseCopyable>: ~Copyable {
    private let mapping: Mapping
    public let capacity: Int

    public init(capacity: Int) throws(LinuxError) {
        mapping = try Mapping(sparseBytes: capacity * MemoryLayout<Element>.stride)
        self.capacity = capacity
    }

    /// Makes every element zero again and gives the memory back.
    public mutating func removeAll() {
        // SAFETY: the range is this owner's own. MADV_DONTNEED is 4.
        _ = unsafe linux_system_call(
            Int(__NR_madvise), Int(bitPattern: mapping.base), mapping.lengthBytes, 4, 0, 0, 0)
    }

    public subscript(index: Int) -> Element {
        @inline(__always) get {
            precondition(index >= 0 && index < capacity, "outside the table")
            // SAFETY: the index was checked, and zero bytes are an element.
            return unsafe mapping.base.load(
                fromByteOffset: index * MemoryLayout<Element>.stride, as: Element.self)
        }
        @inline(__always) set {
            precondition(index >= 0 && index < capacity, "outside the table")
            // SAFETY: as above.
            unsafe mapping.base.storeBytes(
                of: newValue, toByteOffset: index * MemoryLayout<Element>.stride, as: Element.self)
        }
    }
}
