/// Firecracker's templates with names: what guests of one generation of processors may be told, so that they can go on
/// on another.
extension ProcessorTemplate {
    /// Bits of registers: for which templates, leaf, subleaf, register, mask, value. Facts of Firecracker 1.12.
    private static let rows:
        [(for: UInt32, leaf: UInt32, subleaf: UInt32, register: UInt32, mask: UInt32, value: UInt32)] =
            [
                (t2 | t2s | t2cl | t2a, 1, 0, 0, 0x0fff_3fff, 0x0003_06f2), (c3, 1, 0, 0, 0x0fff_3fff, 0x0003_06e4),
                (t2 | t2s | t2cl | t2a, 1, 0, 2, 0x0004_cdfc, 0), (c3, 1, 0, 2, 0x0040_dd3c, 0),
                (t2 | t2s | t2cl | t2a, 1, 0, 3, 0xe864_1080, 0x1080), (c3, 1, 0, 3, 0xa864_1080, 0x1080),
                (t2, 7, 0, 1, 0xffef_fa54, 0x200), (t2s | t2cl | t2a, 7, 0, 1, 0xffef_da14, 0x200),
                (c3, 7, 0, 1, 0xffaf_dd3c, 0),
                (t2 | t2s | t2cl | t2a, 7, 0, 2, 0x4041_5f5e, 0), (c3, 7, 0, 2, 0x4041_481e, 0),
                (t2 | t2s | t2cl | t2a, 7, 0, 3, 0x11c, 0), (c3, 7, 0, 3, 0xc, 0),
                (all, 0xd, 0, 0, 0x2f8, 0), (all, 0xd, 1, 0, 0xe, 0),
                (t2 | t2s, 0x8000_0001, 0, 2, 0x2000_0100, 0), (t2cl | t2a, 0x8000_0001, 0, 2, 0x2000_01c0, 0),
                (c3, 0x8000_0001, 0, 2, 0x120, 0),
                (t2 | t2s | c3, 0x8000_0001, 0, 3, 0x0400_0000, 0), (t2cl | t2a, 0x8000_0001, 0, 3, 0x07c0_0000, 0),
                (t2 | t2s | t2cl, 0x8000_0008, 0, 1, 0x200, 0), (t2a, 0x8000_0008, 0, 1, 0xc_0205, 0xc_0000),
            ]

    private static let t2: UInt32 = 1
    private static let t2s: UInt32 = 2
    private static let t2cl: UInt32 = 4
    private static let t2a: UInt32 = 8
    private static let c3: UInt32 = 16
    private static let all: UInt32 = 31

    private static func bit(_ name: String) -> UInt32 {
        switch name {
        case "T2": t2
        case "T2S": t2s
        case "T2CL": t2cl
        case "T2A": t2a
        case "C3": c3
        default: 0
        }
    }

    /// - Returns: nil for a name that is none.
    public init?(named name: String) {
        let bit = Self.bit(name)
        if bit == 0 { return nil }
        self.init()
        for row in Self.rows where row.for & bit != 0 {
            leaves.append(
                Change(
                    // Leaves 7 and 13 have subleaves, which KVM tells by a flag.
                    row.leaf, subleaf: row.subleaf, flags: row.leaf == 7 || row.leaf == 0xd ? 1 : 0,
                    register: Int(row.register), bits: Bits(mask: UInt64(row.mask), value: UInt64(row.value))))
        }
        // IA32_ARCH_CAPABILITIES: what the processor needs no help against.
        if bit == Self.t2s { modelRegisters = [Change(0x10a, bits: Bits(mask: .max, value: 0xc4c))] }
        if bit == Self.t2cl { modelRegisters = [Change(0x10a, bits: Bits(mask: 0xffff_ffff_f2f5_1e00))] }
    }

    /// Whether a template is for processors of this vendor.
    public static func isMade(_ name: String, forAMD isAMD: Bool) -> Bool { isAMD == (name == "T2A") }

    /// Whether a template is for processors of this family, model and stepping, as leaf 1 of CPUID tells them.
    public static func isMade(_ name: String, forModel model: UInt32) -> Bool {
        let bit = bit(name)
        switch model {
        case 0x5_0654: return bit & (c3 | t2 | t2s) != 0  // Skylake
        case 0x5_0657: return bit & (c3 | t2 | t2s | t2cl) != 0  // Cascade Lake
        case 0x6_06a6: return bit & (c3 | t2 | t2cl) != 0  // Ice Lake
        case 0xa0_0f11: return bit == t2a  // Milan
        default: return false
        }
    }
}
