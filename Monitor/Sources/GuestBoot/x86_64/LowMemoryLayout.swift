/// Where boot data lies below 1 MiB. `Documentation/boot.md` has the same as a table.
enum LowMemoryLayout {
    /// Global descriptor table: null, null, code, data, task (two entries wide in long mode).
    static let descriptorTable: UInt64 = 0x500
    static let descriptorTableBytes: UInt16 = 48
    /// `hvm_start_info`, its module list and memory map.
    static let startInfo: UInt64 = 0x6000
    /// `boot_params`.
    static let zeroPage: UInt64 = 0x7000
    /// The stack grows down from here.
    static let stackTop: UInt64 = 0x8ff0
    /// PML4, one page directory pointer table, four page directories.
    static let pageTables: UInt64 = 0x9000
    /// One `setup_data` with random bytes.
    static let randomSeed: UInt64 = 0xf000
    static let randomSeedMaximumBytes = 4000
    static let commandLine: UInt64 = 0x2_0000
    /// The longest command line that any kernel may ask for, with its zero byte.
    static let commandLineMaximumBytes = 0x1_0000
    /// The extended BIOS data area, one KiB: the multiprocessor table.
    static let extendedBIOSData: UInt64 = 0x9_fc00
    /// The end of base memory.
    static let videoMemory: UInt64 = 0xa_0000
    /// ACPI tables, the RSDP first: where a kernel that is not told looks for it.
    static let acpiTables: UInt64 = 0xe_0000
    static let acpiTablesMaximumBytes = 0x1_f000
    /// The machine's generation (`MachineGeneration`), a page of its own.
    static let generation: UInt64 = 0xf_f000
    /// Where kernels may be loaded.
    static let highMemory: UInt64 = 0x10_0000
}
