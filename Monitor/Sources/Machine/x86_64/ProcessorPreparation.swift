import CLinux
import GuestBoot
import KVMHost
import MachineConfiguration

/// Puts a processor into the state in which its guest begins.
enum ProcessorPreparation {
    /// What every processor gets, the waiting ones too.
    /// - Returns: what it was told of itself.
    static func prepare(
        _ processor: borrowing KVMVirtualCPU, of count: UInt32, supported: [IdentificationLeaf],
        _ template: ProcessorTemplate?
    ) throws(KVMError) -> [IdentificationLeaf] {
        var identification = ProcessorIdentification(supported)
        template?.apply(to: &identification)
        identification.specialise(processor: processor.number, of: count)
        try processor.setIdentification(identification)
        try processor.setFirmwareModelRegisters()
        try template?.apply(to: processor)
        try processor.setFirmwareLocalInterrupts()
        return identification.copyLeaves()
    }

    /// What the processor that boots gets besides.
    static func enter(
        _ processor: borrowing KVMVirtualCPU, _ state: InitialProcessorState
    ) throws(KVMError) {
        var special = try processor.specialRegisters()
        special.cs = segment(state.code)
        let data = segment(state.data)
        special.ds = data
        special.es = data
        special.fs = data
        special.gs = data
        special.ss = data
        special.tr = segment(state.task)
        special.gdt.base = state.gdtBase
        special.gdt.limit = state.gdtLimit
        special.idt.base = 0
        special.idt.limit = state.idtLimit
        special.cr0 = state.cr0
        special.cr3 = state.cr3
        special.cr4 = state.cr4
        special.efer = state.efer
        try processor.setSpecialRegisters(special)

        var general = kvm_regs()
        general.rip = state.rip
        general.rsp = state.rsp
        general.rbp = state.rsp
        general.rsi = state.rsi
        general.rbx = state.rbx
        general.rflags = state.rflags
        try processor.setGeneralRegisters(general)
    }

    private static func segment(_ state: SegmentState) -> kvm_segment {
        var segment = kvm_segment()
        segment.base = state.base
        segment.limit = state.limit
        segment.selector = state.selector
        segment.type = state.type
        segment.present = 1
        segment.s = state.isCodeOrData ? 1 : 0
        segment.l = state.isLong ? 1 : 0
        segment.db = state.isDefault32 ? 1 : 0
        segment.g = state.hasPageGranularity ? 1 : 0
        return segment
    }
}
