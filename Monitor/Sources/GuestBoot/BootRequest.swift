public import GuestMemory

/// What is to be booted, and what machine the guest shall find.
public struct BootRequest: Sendable {
    /// An open, readable kernel image: a file, not a pipe. The caller keeps it; it may be closed after the call.
    public var kernel: Int32
    /// Open initial RAM disks, laid one behind the other in this order.
    public var initialRamDisks: [Int32]
    /// The kernel's arguments, before the ones that discovery adds.
    public var commandLine: String
    /// Nil: what suits the kernel. A Linux kernel is entered by the 64-bit protocol, another one that has a PVH entry by
    /// that.
    public var bootProtocol: BootProtocol?
    public var platform: PlatformDescription
    /// How the guest is told of its processors and devices; any number of ways at once.
    public var discovery: Discovery
    /// Fresh random bytes with which Linux seeds its generator, at most 4000; empty for none.
    public var randomSeed: [UInt8]
    /// Whether whole pages of kernel and initial RAM disks may be mapped instead of read (see `GuestMemory.map`). It is
    /// done only for files on file systems of this machine.
    public var mapsFiles: Bool

    public init(
        kernel: Int32, initialRamDisks: [Int32] = [], commandLine: String, platform: PlatformDescription,
        bootProtocol: BootProtocol? = nil, discovery: Discovery = .all, randomSeed: [UInt8] = [],
        mapsFiles: Bool = true
    ) {
        self.kernel = kernel
        self.initialRamDisks = initialRamDisks
        self.commandLine = commandLine
        self.bootProtocol = bootProtocol
        self.platform = platform
        self.discovery = discovery
        self.randomSeed = randomSeed
        self.mapsFiles = mapsFiles
    }
}

/// How a kernel is entered.
public enum BootProtocol: Equatable, Sendable {
    /// Long mode, paging on, a zero page in RSI.
    /// Source: Linux Documentation/arch/x86/boot.rst, "64-bit Boot Protocol".
    case linux64
    /// Protected mode, paging off, `hvm_start_info` in EBX.
    /// Source: Xen docs/misc/pvh.pandoc, "x86/HVM direct boot ABI".
    case pvh
}

/// The ways in which a guest learns what the machine has.
public struct Discovery: OptionSet, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Processors, interrupt controller, virtio devices, serial port, power button, how to power off and reset.
    public static let acpi = Discovery(rawValue: 1)
    /// Processors and interrupt controller, for kernels without ACPI.
    public static let multiprocessorTable = Discovery(rawValue: 2)
    /// Virtio devices as `virtio_mmio.device=` arguments.
    public static let commandLine = Discovery(rawValue: 4)
    public static let all: Discovery = [.acpi, .multiprocessorTable, .commandLine]
}

/// What a prepared guest is started with.
public struct PreparedBoot: Equatable, Sendable {
    /// For processor 0; the others wait for the guest to start them.
    public let processor: InitialProcessorState
    public let bootProtocol: BootProtocol
    public let kernelFormat: KernelFormat
    /// What the guest will see.
    public let commandLine: String
    /// The end of what the kernel needs before it looks after itself.
    public let kernelEnd: UInt64
    /// Where the initial RAM disks begin, and their length with padding; zero and zero without.
    public let initialRamDiskStart: UInt64
    public let initialRamDiskBytes: UInt64
    /// What the guest is sure to write while it starts, for `GuestMemory.prefault` once it runs.
    public let sureToBeWritten: [GuestRange]
}
