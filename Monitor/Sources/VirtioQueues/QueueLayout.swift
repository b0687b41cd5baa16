public import GuestMemory

/// Where the driver put one queue, and how large it made it.
///
/// Trust: every field is chosen by the guest; `SplitQueue` validates them when it is made.
public struct QueueLayout: Equatable, Sendable {
    /// Descriptors; a power of two, at most the device's maximum.
    public var size: UInt16
    public var descriptorTable: GuestAddress
    public var availableRing: GuestAddress
    public var usedRing: GuestAddress

    public init(
        size: UInt16, descriptorTable: GuestAddress, availableRing: GuestAddress, usedRing: GuestAddress
    ) {
        self.size = size
        self.descriptorTable = descriptorTable
        self.availableRing = availableRing
        self.usedRing = usedRing
    }
}
