public import GuestMemory

/// The kinds of kernel image that can be booted.
public enum KernelFormat: Equatable, Sendable {
    /// An uncompressed 64-bit ELF image (`vmlinux`).
    case elf
    /// Linux's compressed image for x86.
    case bzImage
}

/// A kernel in guest memory, and how to enter it.
public struct LoadedKernel: Equatable, Sendable {
    public var format: KernelFormat
    /// The memory it needs before it looks after itself, from its lowest to its highest byte.
    public var start: UInt64
    public var end: UInt64
    /// The 64-bit entry.
    public var entry: UInt64
    /// The 32-bit entry named by the PVH note.
    public var pvhEntry: UInt64?
    /// Whether the image says that it is Linux.
    public var isLinux: Bool
    /// The setup header from offset 0x1f1 of the zero page on.
    public var setupHeader: [UInt8]
    /// Without the zero byte at its end.
    public var commandLineMaximumBytes: Int
    /// The highest address that a byte of an initial RAM disk may have.
    public var initialRamDiskMaximumAddress: UInt64
    /// Parts whose pages the kernel is sure to write while it starts.
    public var sureToBeWritten: [GuestRange] = []

    /// The protocol that suits it.
    public var preferredProtocol: BootProtocol { pvhEntry != nil && !isLinux ? .pvh : .linux64 }
}
