/// A run of guest-physical addresses backed by one run of host memory.
@unsafe public struct MemoryRegion: Sendable {
    /// First guest-physical address; a multiple of the page size.
    public let start: GuestAddress
    public let lengthBytes: UInt64
    /// Where it is mapped in this process, for the kernel's own use (memory slots).
    nonisolated(unsafe) public let hostBase: UnsafeMutableRawPointer
    /// Where it begins in the file that backs guest memory.
    public let fileOffset: UInt64
}
