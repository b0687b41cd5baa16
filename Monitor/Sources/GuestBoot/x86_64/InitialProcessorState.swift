/// The registers with which processor 0 enters a kernel; what is not named is zero.
public struct InitialProcessorState: Equatable, Sendable {
    public var rip: UInt64
    public var rsp: UInt64
    public var rsi: UInt64
    public var rbx: UInt64
    public var rflags: UInt64
    public var cr0: UInt64
    public var cr3: UInt64
    public var cr4: UInt64
    public var efer: UInt64
    /// For CS.
    public var code: SegmentState
    /// For DS, ES, FS, GS and SS.
    public var data: SegmentState
    /// For TR.
    public var task: SegmentState
    public var gdtBase: UInt64
    public var gdtLimit: UInt16
    /// Of an empty interrupt table: the first exception ends the machine.
    public var idtLimit: UInt16
}

/// One segment register with its hidden part.
/// Source: Intel SDM volume 3 §3.4.5.
public struct SegmentState: Equatable, Sendable {
    public var selector: UInt16
    public var base: UInt64
    public var limit: UInt32
    /// Bits 8 to 11 of the descriptor's second half.
    public var type: UInt8
    public var isCodeOrData: Bool
    public var isLong: Bool
    public var isDefault32: Bool
    public var hasPageGranularity: Bool

    /// As a descriptor of the global descriptor table; present, privilege level 0.
    public var descriptor: UInt64 {
        let units = hasPageGranularity ? limit >> 12 : limit
        var high = UInt32(truncatingIfNeeded: base >> 16) & 0xff
        high |= UInt32(type & 0xf) << 8 | (isCodeOrData ? 1 << 12 : 0) | 1 << 15
        high |= units & 0xf_0000
        high |= (isLong ? 1 << 21 : 0) | (isDefault32 ? 1 << 22 : 0) | (hasPageGranularity ? 1 << 23 : 0)
        high |= UInt32(truncatingIfNeeded: base) & 0xff00_0000
        let low = UInt32(truncatingIfNeeded: base) << 16 | units & 0xffff
        return UInt64(high) << 32 | UInt64(low)
    }
}

extension InitialProcessorState {
    /// Long mode with the identity mapping of `BootPageTables`.
    /// - Parameter zeroPage: where `boot_params` lies, for RSI.
    static func linux64(entry: UInt64, zeroPage: UInt64) -> InitialProcessorState {
        InitialProcessorState(
            rip: entry, rsp: LowMemoryLayout.stackTop, rsi: zeroPage, rbx: 0, rflags: 2,
            // PE, MP, ET, NE, WP, AM, PG.
            cr0: 0x8005_0033, cr3: LowMemoryLayout.pageTables,
            // PAE.
            cr4: 0x20,
            // LME, LMA.
            efer: 0x500,
            code: .flat(selector: 0x10, type: 0xb, isLong: true), data: .flat(selector: 0x18, type: 3),
            task: .task, gdtBase: LowMemoryLayout.descriptorTable,
            gdtLimit: LowMemoryLayout.descriptorTableBytes - 1, idtLimit: 0)
    }

    /// Protected mode without paging.
    /// - Parameter startInfo: where `hvm_start_info` lies, for EBX.
    static func pvh(entry: UInt64, startInfo: UInt64) -> InitialProcessorState {
        InitialProcessorState(
            rip: entry, rsp: LowMemoryLayout.stackTop, rsi: 0, rbx: startInfo, rflags: 2,
            // PE, ET.
            cr0: 0x11, cr3: 0, cr4: 0, efer: 0,
            code: .flat(selector: 0x10, type: 0xb, isDefault32: true), data: .flat(selector: 0x18, type: 3),
            task: .task, gdtBase: LowMemoryLayout.descriptorTable,
            gdtLimit: LowMemoryLayout.descriptorTableBytes - 1, idtLimit: 0)
    }
}

extension SegmentState {
    /// The whole of the address space.
    static func flat(selector: UInt16, type: UInt8, isLong: Bool = false, isDefault32: Bool? = nil) -> SegmentState {
        SegmentState(
            selector: selector, base: 0, limit: 0xffff_ffff, type: type, isCodeOrData: true, isLong: isLong,
            isDefault32: isDefault32 ?? !isLong, hasPageGranularity: true)
    }

    /// A task segment that nobody uses but that processors want to see.
    static var task: SegmentState {
        SegmentState(
            selector: 0x20, base: 0, limit: 0x67, type: 0xb, isCodeOrData: false, isLong: false, isDefault32: false,
            hasPageGranularity: false)
    }
}
