import LinuxCalls

/// The names of nodes, each with a zero behind it, in blocks of 16, 32, 64, 128 and 256 bytes.
struct NodeNames: ~Copyable {
    private let room: ByteRoom
    /// The first of the blocks given back, for each size, chained by their first four bytes.
    private var free = InlineArray<5, UInt32>(repeating: 0)
    /// The first block is nobody's, so that zero can stand for no name.
    private var end = 16

    init(capacity: Int) throws(LinuxError) { room = try ByteRoom(capacity: max(capacity, 512)) }

    mutating func removeAll() {
        room.removeAll()
        free = InlineArray(repeating: 0)
        end = 16
    }

    private static func sizeClass(_ length: Int) -> Int {
        var size = 0
        while 16 << size < length &+ 1 { size &+= 1 }
        return size
    }

    /// - Parameter length: 1 to 255.
    /// - Returns: where the name lies, or nil when there is no room.
    mutating func insert(_ name: borrowing ByteRoom, at offset: Int, length: Int) -> Int? {
        let size = Self.sizeClass(length)
        let place: Int
        if free[size] != 0 {
            place = Int(free[size])
            free[size] = room.load(at: place)
        } else {
            guard end &+ 16 << size <= room.capacity else { return nil }
            place = end
            end &+= 16 << size
        }
        room.copy(name, from: offset, count: length, to: place)
        room.store(UInt8(0), at: place &+ length)
        return place
    }

    mutating func remove(_ place: Int, length: Int) {
        let size = Self.sizeClass(length)
        room.store(free[size], at: place)
        free[size] = UInt32(place)
    }

    func isEqual(_ place: Int, _ name: borrowing ByteRoom, at offset: Int, length: Int) -> Bool {
        for index in 0..<length where room.load(UInt8.self, at: place + index) != name.load(at: offset + index) {
            return false
        }
        return true
    }

    func name(_ place: Int) -> KernelName { room.name(at: place) }
}
