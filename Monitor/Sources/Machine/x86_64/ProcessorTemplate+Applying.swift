import KVMHost
import LinuxCalls
import MachineConfiguration

/// A template's way into the processors of a machine that is being built. The words are the original's.
extension ProcessorTemplate {
    /// Whether this host's KVM can do what the template wants.
    func check(_ shell: MachineShell) throws(MachineError) {
        for capability in capabilities where shell.system.capability(Int32(truncatingIfNeeded: capability)) == 0 {
            throw .processorTemplate(
                "Internal error while starting microVM: Kvm error: Missing KVM capabilities: 0x"
                    + String(capability, radix: 16))
        }
        var identification = ProcessorIdentification(shell.supported)
        for change in leaves where !change.apply(to: &identification) {
            throw .processorTemplate(
                "System configuration error: Failed to create guest config: Template changes a CPUID entry not supported by KVM: Leaf: "
                    + String(change.number, radix: 16) + ", Subleaf: " + String(change.subleaf, radix: 16))
        }
    }

    /// What is not there, which `check` has found out, stays away.
    func apply(to identification: inout ProcessorIdentification) {
        for change in leaves { _ = change.apply(to: &identification) }
    }

    /// Changes the model-specific registers of a processor that has not run.
    /// - Throws: ENOENT for one that it does not have, EINVAL for a value that it does not take.
    func apply(to processor: borrowing KVMVirtualCPU) throws(KVMError) {
        for change in modelRegisters {
            let before = try processor.modelRegister(change.number)
            try processor.setModelRegister(change.number, change.bits.applied(to: before))
        }
    }
}

extension ProcessorTemplate.Change {
    /// - Returns: false when the leaf is not there.
    fileprivate func apply(to identification: inout ProcessorIdentification) -> Bool {
        identification.change(
            leaf: number, subleaf: subleaf, flags: flags, register: register,
            mask: UInt32(truncatingIfNeeded: bits.mask), value: UInt32(truncatingIfNeeded: bits.value))
    }
}
