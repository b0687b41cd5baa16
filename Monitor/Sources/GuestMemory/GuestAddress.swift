/// A guest-physical address.
///
/// Trust: most are chosen by the guest. Arithmetic on them never traps.
@frozen public struct GuestAddress: Hashable, Comparable, Sendable {
    public let value: UInt64

    @inlinable public init(_ value: UInt64) { self.value = value }

    @inlinable public static func < (left: GuestAddress, right: GuestAddress) -> Bool { left.value < right.value }

    /// The address `bytes` further on, or nil when that is beyond the end of the address space.
    @inlinable public func advanced(by bytes: UInt64) -> GuestAddress? {
        let (sum, overflow) = value.addingReportingOverflow(bytes)
        return overflow ? nil : GuestAddress(sum)
    }

    /// Whether the address is a multiple of `alignment`, a power of two.
    @inlinable public func isAligned(to alignment: UInt64) -> Bool { value & (alignment &- 1) == 0 }
}

/// A run of guest-physical addresses; whether it is memory is for `GuestMemory` to say.
public struct GuestRange: Equatable, Sendable {
    public var start: GuestAddress
    public var lengthBytes: UInt64

    public init(start: GuestAddress, lengthBytes: UInt64) {
        self.start = start
        self.lengthBytes = lengthBytes
    }
}
