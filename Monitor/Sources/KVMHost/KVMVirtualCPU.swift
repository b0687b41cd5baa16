import CLinux
public import LinuxCalls

/// One virtual processor. It belongs to the thread that runs it.
public struct KVMVirtualCPU: ~Copyable, Sendable {
    public let number: UInt32
    let descriptor: FileDescriptor
    private let shared: Mapping

    init(number: UInt32, owning descriptor: consuming FileDescriptor, shared: consuming Mapping) {
        self.number = number
        self.descriptor = descriptor
        self.shared = shared
    }

    /// Where another thread asks this one to leave the guest: see `ProcessorKick`.
    public var kick: ProcessorKick {
        // SAFETY: the byte lies in the shared state; the kick is used only while the processor lives.
        unsafe ProcessorKick(immediateExit: shared.base + 1)
    }

    /// Enters the guest until it needs this process.
    ///
    /// Everything the guest chose comes as it is: addresses, ports and data are checked by who serves them.
    /// - Throws: EINTR when kicked; any other error is the host's.
    @inline(__always)
    public func run() throws(LinuxError) -> KVMExitReason {
        // SAFETY: no address is passed.
        unsafe try systemCall(__NR_ioctl, Int(descriptor.number), Int(bitPattern: linux_KVM_RUN))
        return KVMExitReason(rawValue: load(8))
    }

    /// A field of the shared state (`struct kvm_run`), at its offset there. Source: linux/kvm.h.
    @inline(__always)
    private func load<T: BitwiseCopyable>(_ offset: Int) -> T {
        // SAFETY: the offsets in this file lie inside the structure, and the kernel writes it only during `run`.
        unsafe shared.base.load(fromByteOffset: offset, as: T.self)
    }

    /// The access to a port that made the guest stop (`KVMExitReason.portAccess`).
    public var portAccess: PortAccess {
        PortAccess(
            port: load(34), widthBytes: load(33), isWrite: load(32) as UInt8 == 1, count: load(36),
            dataOffset: load(40))
    }

    /// The value at position `index` of a (repeated) port access.
    @inline(__always)
    public func portData(_ access: PortAccess, _ index: UInt32) -> UInt32 {
        guard let place = unsafe place(access, index) else { return 0 }
        // SAFETY: `place` is inside the shared state.
        switch access.widthBytes {
        case 1: return unsafe UInt32(place.load(as: UInt8.self))
        case 2: return unsafe UInt32(place.loadUnaligned(as: UInt16.self))
        default: return unsafe place.loadUnaligned(as: UInt32.self)
        }
    }

    /// Answers position `index` of a port input.
    @inline(__always)
    public func setPortData(_ access: PortAccess, _ index: UInt32, _ value: UInt32) {
        guard let place = unsafe place(access, index) else { return }
        // SAFETY: `place` is inside the shared state.
        switch access.widthBytes {
        case 1: unsafe place.storeBytes(of: UInt8(truncatingIfNeeded: value), as: UInt8.self)
        case 2: unsafe place.storeBytes(of: UInt16(truncatingIfNeeded: value), as: UInt16.self)
        default: unsafe place.storeBytes(of: value, as: UInt32.self)
        }
    }

    private func place(_ access: PortAccess, _ index: UInt32) -> UnsafeMutableRawPointer? {
        let offset = access.dataOffset &+ UInt64(index) &* UInt64(access.widthBytes)
        guard index < access.count, offset &+ 4 <= UInt64(shared.lengthBytes) else { return nil }
        // SAFETY: the offset is inside the mapping.
        return unsafe shared.base + Int(offset)
    }

    /// The access to memory that is not there (`KVMExitReason.memoryAccess`).
    @inline(__always)
    public var memoryAccess: MemoryAccess {
        MemoryAccess(
            address: load(32), data: load(40), widthBytes: load(48), isWrite: load(52) as UInt8 == 1)
    }

    /// Answers a guest's read of a device's memory.
    @inline(__always)
    public func setMemoryData(_ data: UInt64) {
        // SAFETY: offset 40 is `mmio.data`, eight bytes.
        unsafe shared.base.storeBytes(of: data, toByteOffset: 40, as: UInt64.self)
    }

    /// What kind of internal error the kernel met, and what it was about to do (`KVMExitReason.internalError`).
    public var internalErrorKind: UInt32 { load(32) }

    /// Why the hardware refused to enter the guest (`KVMExitReason.entryFailed`).
    public var entryFailureReason: UInt64 { load(32) }

    /// What the guest asked for through the kernel (`KVMExitReason.systemEvent`): 1 shut down, 2 reset, 3 crash.
    public var systemEventKind: UInt32 { load(32) }
}

/// Why the guest stopped. Source: linux/kvm.h, KVM_EXIT_*.
@frozen public struct KVMExitReason: Equatable, Sendable {
    public let rawValue: UInt32

    @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }

    public static let portAccess = KVMExitReason(rawValue: 2)
    public static let halted = KVMExitReason(rawValue: 5)
    public static let memoryAccess = KVMExitReason(rawValue: 6)
    public static let shutDown = KVMExitReason(rawValue: 8)
    public static let entryFailed = KVMExitReason(rawValue: 9)
    public static let interrupted = KVMExitReason(rawValue: 10)
    public static let internalError = KVMExitReason(rawValue: 17)
    public static let systemEvent = KVMExitReason(rawValue: 24)
    public static let endOfInterrupt = KVMExitReason(rawValue: 26)
}

/// A guest's `in` or `out`, perhaps repeated (`rep outsb`). All of it is the guest's choice.
public struct PortAccess: Sendable {
    public let port: UInt16
    /// 1, 2 or 4.
    public let widthBytes: UInt8
    public let isWrite: Bool
    /// How many values, each `widthBytes` wide.
    public let count: UInt32
    let dataOffset: UInt64
}

/// A guest's read or write of a device's memory. All of it is the guest's choice.
public struct MemoryAccess: Sendable {
    public let address: UInt64
    /// What is written, in the low bytes.
    public let data: UInt64
    /// 1 to 8.
    public let widthBytes: UInt32
    public let isWrite: Bool
}
