import GuestMemory

/// A copy of one entry of a descriptor table.
///
/// Layout, little-endian: address (8 bytes), length (4), flags (2), next (2).
/// Trust: the guest chose every bit; nothing is validated yet.
/// Source: virtio 1.3 §2.7.5.
@frozen @usableFromInline struct Descriptor {
    static let sizeBytes: UInt64 = 16

    let address: GuestAddress
    private let rest: UInt64

    /// Fetches both halves, each in one access, so that what is judged is what is used.
    @inline(__always)
    init(_ memory: GuestMemory, at place: GuestAddress) throws(GuestMemoryError) {
        address = GuestAddress(try memory.load(UInt64.self, at: place))
        rest = try memory.load(UInt64.self, at: GuestAddress(place.value &+ 8))
    }

    var lengthBytes: UInt32 { UInt32(truncatingIfNeeded: rest) }
    var hasNext: Bool { rest & 1 << 32 != 0 }
    var isDeviceWritable: Bool { rest & 2 << 32 != 0 }
    var isIndirect: Bool { rest & 4 << 32 != 0 }
    var next: UInt16 { UInt16(truncatingIfNeeded: rest >> 48) }
}
