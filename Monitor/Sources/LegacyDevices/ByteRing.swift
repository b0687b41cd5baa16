/// A first-in first-out buffer of bytes with a fixed capacity.
struct ByteRing {
    private var storage: [UInt8]
    private var first = 0
    private(set) var count = 0

    init(capacity: Int) { storage = Array(repeating: 0, count: capacity) }

    var isEmpty: Bool { count == 0 }
    var isFull: Bool { count == storage.count }

    /// Returns false, and changes nothing, when the ring is full.
    mutating func append(_ byte: UInt8) -> Bool {
        if isFull { return false }
        storage[(first + count) % storage.count] = byte
        count += 1
        return true
    }

    /// All bytes, the oldest first.
    var bytes: [UInt8] { (0..<count).map { storage[(first + $0) % storage.count] } }

    mutating func popFirst() -> UInt8? {
        if isEmpty { return nil }
        let byte = storage[first]
        removeFirst(1)
        return byte
    }

    mutating func removeFirst(_ bytes: Int) {
        first = (first + bytes) % storage.count
        count -= bytes
    }

    mutating func removeAll() { count = 0 }

    /// The oldest bytes, as many as lie together in memory.
    var prefix: Span<UInt8> {
        @_lifetime(borrow self)
        borrowing get { storage.span.extracting(first..<min(first + count, storage.count)) }
    }
}
