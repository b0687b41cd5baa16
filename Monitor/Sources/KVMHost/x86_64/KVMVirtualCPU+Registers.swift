public import CLinux
public import GuestMemory
import LinuxCalls

extension KVMVirtualCPU {
    public func generalRegisters() throws(KVMError) -> kvm_regs {
        var registers = kvm_regs()
        try control(descriptor.number, linux_KVM_GET_REGS, &registers, "KVM_GET_REGS")
        return registers
    }

    public func setGeneralRegisters(_ registers: kvm_regs) throws(KVMError) {
        var registers = registers
        try control(descriptor.number, linux_KVM_SET_REGS, &registers, "KVM_SET_REGS")
    }

    public func specialRegisters() throws(KVMError) -> kvm_sregs {
        var registers = kvm_sregs()
        try control(descriptor.number, linux_KVM_GET_SREGS, &registers, "KVM_GET_SREGS")
        return registers
    }

    public func setSpecialRegisters(_ registers: kvm_sregs) throws(KVMError) {
        var registers = registers
        try control(descriptor.number, linux_KVM_SET_SREGS, &registers, "KVM_SET_SREGS")
    }

    /// Tells the guest what processor it has.
    public func setIdentification(_ table: borrowing ProcessorIdentification) throws(KVMError) {
        do throws(LinuxError) { try table.apply(to: descriptor.number) } catch {
            throw KVMError("KVM_SET_CPUID2", error)
        }
    }

    /// Model-specific registers as firmware would leave them: memory is write-back, string moves are fast.
    /// Source: Intel SDM volume 4 (IA32_MISC_ENABLE 0x1a0, IA32_MTRR_DEF_TYPE 0x2ff).
    public func setFirmwareModelRegisters() throws(KVMError) {
        // struct kvm_msrs: count, padding; then index, reserved, value.
        var table: (UInt32, UInt32, kvm_msr_entry, kvm_msr_entry) = (
            2, 0, kvm_msr_entry(index: 0x1a0, reserved: 0, data: 1),
            kvm_msr_entry(index: 0x2ff, reserved: 0, data: 1 << 11 | 6)
        )
        try control(descriptor.number, linux_KVM_SET_MSRS, &table, "KVM_SET_MSRS")
    }

    /// The local APIC's two local lines as firmware would leave them: LINT0 for an external controller, LINT1 for NMI.
    /// Source: Intel SDM volume 3 §11.5.1.
    public func setFirmwareLocalInterrupts() throws(KVMError) {
        var state = kvm_lapic_state()
        try control(descriptor.number, linux_KVM_GET_LAPIC, &state, "KVM_GET_LAPIC")
        // SAFETY: both registers lie inside the page of 1024 bytes.
        unsafe withUnsafeMutableBytes(of: &state) { page in
            unsafe page.storeBytes(of: 0x700, toByteOffset: 0x350, as: UInt32.self)
            unsafe page.storeBytes(of: 0x400, toByteOffset: 0x360, as: UInt32.self)
        }
        try control(descriptor.number, linux_KVM_SET_LAPIC, &state, "KVM_SET_LAPIC")
    }

    /// Where a linear address lies in guest-physical memory by the guest's page tables, or nil when nowhere.
    public func physicalAddress(of linearAddress: UInt64) -> GuestAddress? {
        var translation = kvm_translation()
        translation.linear_address = linearAddress
        guard (try? control(descriptor.number, linux_KVM_TRANSLATE, &translation, "KVM_TRANSLATE")) != nil,
            translation.valid != 0
        else { return nil }
        return GuestAddress(translation.physical_address)
    }
}

extension KVMVirtualCPU {
    /// Whether nothing that the guest can arrange will make it go on: halted with interrupts off, or never started.
    public func canNeverWake() throws(KVMError) -> Bool {
        var state = kvm_mp_state()
        try control(descriptor.number, linux_KVM_GET_MP_STATE, &state, "KVM_GET_MP_STATE")
        switch state.mp_state {
        case 1, 2: return true  // KVM_MP_STATE_UNINITIALIZED, KVM_MP_STATE_INIT_RECEIVED
        case 3: return try generalRegisters().rflags & 1 << 9 == 0  // KVM_MP_STATE_HALTED
        default: return false
        }
    }
}
