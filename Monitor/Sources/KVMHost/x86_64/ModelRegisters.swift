import CLinux
import LinuxCalls

extension KVMSystem {
    /// The model-specific registers whose values a guest could miss after a restore.
    /// Source: KVM API §4.3 (KVM_GET_MSR_INDEX_LIST).
    public func modelRegisterIndexes() throws(KVMError) -> [UInt32] {
        // struct kvm_msr_list: a count, then so many indexes. The first call is refused and says how many there are.
        var words: [UInt32] = [0]
        _ = try? list(&words)
        guard words[0] <= 4096 else { throw KVMError("KVM_GET_MSR_INDEX_LIST", LinuxError(E2BIG)) }
        words += [UInt32](repeating: 0, count: Int(words[0]))
        try list(&words)
        return Array(words.dropFirst().prefix(Int(words[0])))
    }

    private func list(_ words: inout [UInt32]) throws(KVMError) {
        do throws(LinuxError) {
            // SAFETY: the kernel fills no more indexes than the count says there is room for.
            unsafe try words.withUnsafeMutableBufferPointer { buffer throws(LinuxError) in
                _ = unsafe try systemCallRestarting(
                    __NR_ioctl, Int(device.number), Int(bitPattern: linux_KVM_GET_MSR_INDEX_LIST),
                    Int(bitPattern: buffer.baseAddress))
            }
        } catch { throw KVMError("KVM_GET_MSR_INDEX_LIST", error) }
    }
}

/// `struct kvm_msrs`: a count and padding, then entries of 16 bytes: index, reserved, value. Source: KVM API §4.18.
private struct ModelRegisterTable {
    var words: [UInt64]

    init(_ registers: ArraySlice<ProcessorState.ModelRegister>) {
        words = [UInt64(registers.count)]
        for register in registers { words += [UInt64(register.index), register.value] }
    }

    var values: [UInt64] { stride(from: 2, to: words.count, by: 2).map { words[$0] } }
}

extension KVMVirtualCPU {
    /// The values of those registers that this processor has.
    func modelRegisters(_ indexes: [UInt32]) throws(KVMError) -> [ProcessorState.ModelRegister] {
        var found: [ProcessorState.ModelRegister] = []
        var rest = indexes.map { ProcessorState.ModelRegister(index: $0, value: 0) }[...]
        while !rest.isEmpty {
            var table = ModelRegisterTable(rest)
            let count = try exchange(linux_KVM_GET_MSRS, &table, "KVM_GET_MSRS")
            for (register, value) in zip(rest.prefix(count), table.values) {
                found.append(ProcessorState.ModelRegister(index: register.index, value: value))
            }
            // KVM stops before the first one that is not there.
            rest = rest.dropFirst(count + 1)
        }
        return found
    }

    /// Sets them all; one that cannot be set does not matter when it holds zero, as it does from the start.
    func restoreModelRegisters(_ registers: [ProcessorState.ModelRegister]) throws(KVMError) {
        var rest = registers[...]
        while !rest.isEmpty {
            var table = ModelRegisterTable(rest)
            let count = try exchange(linux_KVM_SET_MSRS, &table, "KVM_SET_MSRS")
            rest = rest.dropFirst(count)
            guard let refused = rest.popFirst() else { return }
            if refused.value != 0 { throw KVMError("KVM_SET_MSRS", LinuxError(ENOSYS)) }
        }
    }

    /// - Throws: ENOENT when this processor does not have it.
    public func modelRegister(_ index: UInt32) throws(KVMError) -> UInt64 {
        guard let register = try modelRegisters([index]).first else {
            throw KVMError("KVM_GET_MSRS", LinuxError(ENOENT))
        }
        return register.value
    }

    /// - Throws: EINVAL when this processor does not take the value.
    public func setModelRegister(_ index: UInt32, _ value: UInt64) throws(KVMError) {
        var table = ModelRegisterTable([ProcessorState.ModelRegister(index: index, value: value)])
        guard try exchange(linux_KVM_SET_MSRS, &table, "KVM_SET_MSRS") == 1 else {
            throw KVMError("KVM_SET_MSRS", LinuxError(EINVAL))
        }
    }

    /// Returns how many registers KVM dealt with.
    private func exchange(
        _ request: UInt, _ table: inout ModelRegisterTable, _ name: StaticString
    ) throws(KVMError) -> Int {
        do throws(LinuxError) {
            // SAFETY: the table is as long as its count says, and the kernel touches it only during the call.
            return unsafe try table.words.withUnsafeMutableBufferPointer { buffer throws(LinuxError) in
                unsafe try systemCallRestarting(
                    __NR_ioctl, Int(descriptor.number), Int(bitPattern: request), Int(bitPattern: buffer.baseAddress))
            }
        } catch { throw KVMError(name, error) }
    }
}
