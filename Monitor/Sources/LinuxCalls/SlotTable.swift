/// A fixed number of places for values that have one owner each.
///
/// The lowest free place is taken first, and memory is touched only as far as places were ever taken. An index stays good
/// until its value is removed; a wrong one is our bug and traps.
@safe public struct SlotTable<Element: ~Copyable>: ~Copyable {
    @usableFromInline let storage: UnsafeMutablePointer<Element>
    /// One bit for each place, set while it holds a value.
    @usableFromInline var occupancy: [UInt64]
    public let capacity: Int
    /// How many places hold values.
    public private(set) var count = 0
    /// No place from here on ever held a value.
    public private(set) var endIndex = 0

    public init(capacity: Int) {
        self.capacity = capacity
        // SAFETY: freed in deinit; a place is read only while its bit is set.
        unsafe storage = .allocate(capacity: capacity)
        occupancy = Array(repeating: 0, count: (capacity + 63) / 64)
    }

    deinit {
        for index in 0..<endIndex where occupancy[index >> 6] >> UInt64(index & 63) & 1 != 0 {
            // SAFETY: the bit says that the place holds a value.
            unsafe (storage + index).deinitialize(count: 1)
        }
        unsafe storage.deallocate()
    }

    /// Whether the place exists and holds a value.
    @inlinable @inline(__always)
    public func contains(_ index: Int) -> Bool {
        index >= 0 && index < capacity && occupancy[index >> 6] >> UInt64(truncatingIfNeeded: index & 63) & 1 != 0
    }

    /// The lowest free place, or nil when all are taken.
    public var freeIndex: Int? {
        guard count < capacity else { return nil }
        for (word, bits) in occupancy.enumerated() where bits != .max {
            let index = word * 64 + (~bits).trailingZeroBitCount
            return index < capacity ? index : nil
        }
        return nil
    }

    /// Puts a value into a free place, which `freeIndex` gave.
    public mutating func insert(_ element: consuming Element, at index: Int) {
        precondition(index >= 0 && index < capacity && !contains(index), "slot taken")
        // SAFETY: the place exists and holds nothing.
        unsafe (storage + index).initialize(to: element)
        occupancy[index >> 6] |= 1 << UInt64(index & 63)
        count += 1
        endIndex = max(endIndex, index + 1)
    }

    /// Takes the value out of its place.
    public mutating func remove(at index: Int) -> Element {
        precondition(contains(index), "empty slot")
        occupancy[index >> 6] &= ~(1 << UInt64(index & 63))
        count -= 1
        // SAFETY: the place held a value, and its bit is cleared.
        return unsafe (storage + index).move()
    }

    @inlinable
    public subscript(index: Int) -> Element {
        @inline(__always) _read {
            precondition(contains(index), "empty slot")
            // SAFETY: the place holds a value.
            yield unsafe storage[index]
        }
        @inline(__always) _modify {
            precondition(contains(index), "empty slot")
            // SAFETY: as above.
            yield unsafe &storage[index]
        }
    }
}
