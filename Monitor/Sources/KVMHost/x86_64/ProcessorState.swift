import CLinux
import LinuxCalls

/// All that KVM keeps of one processor, as the kernel's own structures, byte for byte.
///
/// Their layouts are the kernel's promise to programs and do not change. Trust: when it comes from a file, lengths and
/// kinds are checked when it is read, and the values by KVM when they are set.
/// Source: KVM API §4; linux/kvm.h.
public struct ProcessorState: Equatable, Sendable {
    /// One structure of the kernel's. The numbers are those of the snapshot format and never change.
    public enum Part: UInt32, CaseIterable, Sendable {
        case runState = 1  // struct kvm_mp_state
        case general = 2  // struct kvm_regs
        case special = 3  // struct kvm_sregs
        case extended = 4  // struct kvm_xsave: floating point and vectors
        case extendedControl = 5  // struct kvm_xcrs
        case debug = 6  // struct kvm_debugregs
        case localInterruptController = 7  // struct kvm_lapic_state
        case events = 8  // struct kvm_vcpu_events

        /// The structure's size.
        public var byteCount: Int {
            switch self {
            case .runState: MemoryLayout<kvm_mp_state>.size
            case .general: MemoryLayout<kvm_regs>.size
            case .special: MemoryLayout<kvm_sregs>.size
            case .extended: 4096
            case .extendedControl: MemoryLayout<kvm_xcrs>.size
            case .debug: MemoryLayout<kvm_debugregs>.size
            case .localInterruptController: MemoryLayout<kvm_lapic_state>.size
            case .events: MemoryLayout<kvm_vcpu_events>.size
            }
        }

        fileprivate var requests: (get: UInt, set: UInt) {
            switch self {
            case .runState: (linux_KVM_GET_MP_STATE, linux_KVM_SET_MP_STATE)
            case .general: (linux_KVM_GET_REGS, linux_KVM_SET_REGS)
            case .special: (linux_KVM_GET_SREGS, linux_KVM_SET_SREGS)
            case .extended: (linux_KVM_GET_XSAVE, linux_KVM_SET_XSAVE)
            case .extendedControl: (linux_KVM_GET_XCRS, linux_KVM_SET_XCRS)
            case .debug: (linux_KVM_GET_DEBUGREGS, linux_KVM_SET_DEBUGREGS)
            case .localInterruptController: (linux_KVM_GET_LAPIC, linux_KVM_SET_LAPIC)
            case .events: (linux_KVM_GET_VCPU_EVENTS, linux_KVM_SET_VCPU_EVENTS)
            }
        }

        fileprivate var names: (get: StaticString, set: StaticString) {
            switch self {
            case .runState: ("KVM_GET_MP_STATE", "KVM_SET_MP_STATE")
            case .general: ("KVM_GET_REGS", "KVM_SET_REGS")
            case .special: ("KVM_GET_SREGS", "KVM_SET_SREGS")
            case .extended: ("KVM_GET_XSAVE", "KVM_SET_XSAVE")
            case .extendedControl: ("KVM_GET_XCRS", "KVM_SET_XCRS")
            case .debug: ("KVM_GET_DEBUGREGS", "KVM_SET_DEBUGREGS")
            case .localInterruptController: ("KVM_GET_LAPIC", "KVM_SET_LAPIC")
            case .events: ("KVM_GET_VCPU_EVENTS", "KVM_SET_VCPU_EVENTS")
            }
        }
    }

    public struct ModelRegister: Equatable, Sendable {
        public let index: UInt32
        public let value: UInt64

        public init(index: UInt32, value: UInt64) {
            self.index = index
            self.value = value
        }
    }

    /// In the order of `Part.allCases`, each of its own length.
    public var parts: [[UInt8]] = []
    /// CPUID as the guest was given it; whoever gave it knows it.
    public var identification: [IdentificationLeaf] = []
    public var modelRegisters: [ModelRegister] = []
    /// How fast the guest's time stamp counter runs.
    public var counterKilohertz: UInt32 = 0

    public init() {}
}

extension KVMVirtualCPU {
    /// Everything of this processor, which must stand still, but what it was told of itself.
    /// - Parameter indexes: the model-specific registers to keep; those that this processor does not have are left out.
    public func save(modelRegisters indexes: [UInt32]) throws(KVMError) -> ProcessorState {
        var state = ProcessorState()
        // In this order: asking for the run state makes KVM take in what is pending. Source: KVM API §4.38.
        for part in ProcessorState.Part.allCases {
            var bytes = [UInt8](repeating: 0, count: part.byteCount)
            try exchange(part.requests.get, &bytes, part.names.get)
            state.parts.append(bytes)
        }
        state.modelRegisters = try modelRegisters(indexes)
        state.counterKilohertz = counterKilohertz
        return state
    }

    /// How fast the guest's time stamp counter runs; zero when KVM does not say.
    public var counterKilohertz: UInt32 {
        UInt32(truncatingIfNeeded: (try? control(descriptor.number, linux_KVM_GET_TSC_KHZ, "KVM_GET_TSC_KHZ")) ?? 0)
    }

    /// Puts this processor, which has not run yet, into a saved state.
    /// - Throws: what KVM does not take; ENOSYS for a model-specific register that this host cannot give.
    public func restore(_ state: ProcessorState) throws(KVMError) {
        guard state.parts.count == ProcessorState.Part.allCases.count else {
            throw KVMError("restore a processor", LinuxError(EINVAL))
        }
        var table = ProcessorIdentification()
        guard table.set(state.identification) else { throw KVMError("KVM_SET_CPUID2", LinuxError(E2BIG)) }
        try setIdentification(table)
        // The registers in this order: the interrupt controller's place is in a special register, the deadline of its timer
        // is a model-specific one that counts by another, and events come last because all others change them.
        for part in ProcessorState.Part.allCases where part != .events { try restore(part, state) }
        try restoreModelRegisters(state.modelRegisters)
        try restore(.events, state)
    }

    private func restore(_ part: ProcessorState.Part, _ state: ProcessorState) throws(KVMError) {
        var bytes = state.parts[Int(part.rawValue) - 1]
        guard bytes.count == part.byteCount else { throw KVMError(part.names.set, LinuxError(EINVAL)) }
        try exchange(part.requests.set, &bytes, part.names.set)
    }

    /// Tells the guest's watchdogs that it stood still. A guest that does not use KVM's clock has none to tell.
    public func notePause() { _ = try? control(descriptor.number, linux_KVM_KVMCLOCK_CTRL, "KVM_KVMCLOCK_CTRL") }

    private func exchange(_ request: UInt, _ bytes: inout [UInt8], _ name: StaticString) throws(KVMError) {
        do throws(LinuxError) {
            // SAFETY: the array is as long as the request's structure, and the kernel touches it only during the call.
            unsafe try bytes.withUnsafeMutableBufferPointer { buffer throws(LinuxError) in
                _ = unsafe try systemCallRestarting(
                    __NR_ioctl, Int(descriptor.number), Int(bitPattern: request), Int(bitPattern: buffer.baseAddress))
            }
        } catch { throw KVMError(name, error) }
    }
}
