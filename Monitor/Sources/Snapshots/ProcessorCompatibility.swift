public import KVMHost

/// Whether a guest that was told of one processor can go on with another.
public enum ProcessorCompatibility {
    /// Registers of CPUID leaves whose bits are features: a bit that the guest saw must be there still.
    private static let featureLeaves: [(leaf: UInt32, subleaf: UInt32)] = [
        (1, 0), (7, 0), (7, 1), (0xd, 0), (0xd, 1), (0x8000_0001, 0), (0x8000_0007, 0), (0x8000_0008, 0),
    ]

    /// - Parameters:
    ///   - saved: what the guest was told.
    ///   - now: what a guest could be told here.
    public static func judge(_ saved: [IdentificationLeaf], _ now: [IdentificationLeaf]) throws(SnapshotError) {
        guard let savedVendor = find(0, 0, in: saved), let vendor = find(0, 0, in: now),
            savedVendor.ebx == vendor.ebx, savedVendor.ecx == vendor.ecx, savedVendor.edx == vendor.edx
        else { throw .processor(.vendor) }
        for (leaf, subleaf) in featureLeaves {
            guard let told = find(leaf, subleaf, in: saved) else { continue }
            let there = find(leaf, subleaf, in: now)
            for (name, wanted, has) in registers(told, there) where wanted & ~has != 0 {
                throw .processor(
                    .features(leaf: leaf, subleaf: subleaf, register: name, missing: wanted & ~has))
            }
        }
    }

    private static func find(
        _ leaf: UInt32, _ subleaf: UInt32, in leaves: [IdentificationLeaf]
    ) -> IdentificationLeaf? {
        leaves.first { $0.leaf == leaf && ($0.subleaf == subleaf || $0.flags & 1 == 0) }
    }

    /// Only the registers that hold features, without the bits that are given to every guest or say where it runs.
    private static func registers(
        _ told: IdentificationLeaf, _ there: IdentificationLeaf?
    ) -> [(StaticString, UInt32, UInt32)] {
        switch told.leaf {
        // TSC-deadline timer and "under a hypervisor" (ecx 24, 31) and hyper-threading (edx 28) are this monitor's doing;
        // OSXSAVE (ecx 27) follows a control register.
        case 1:
            [
                ("ecx", told.ecx & ~(1 << 24 | 1 << 27 | 1 << 31), there?.ecx ?? 0),
                ("edx", told.edx & ~(1 << 28), there?.edx ?? 0),
            ]
        // OSPKE (ecx 4) follows a control register; the first subleaf's eax is a count.
        case 7:
            [
                ("eax", told.subleaf == 0 ? 0 : told.eax, there?.eax ?? 0), ("ebx", told.ebx, there?.ebx ?? 0),
                ("ecx", told.ecx & ~(1 << 4), there?.ecx ?? 0), ("edx", told.edx, there?.edx ?? 0),
            ]
        case 0xd: [("eax", told.eax, there?.eax ?? 0)]
        case 0x8000_0001: [("ecx", told.ecx, there?.ecx ?? 0), ("edx", told.edx, there?.edx ?? 0)]
        case 0x8000_0007: [("edx", told.edx, there?.edx ?? 0)]
        default: [("ebx", told.ebx, there?.ebx ?? 0)]
        }
    }

    /// Two counters whose speeds differ by less than this are one to a guest. Source: the tolerance of KVM's own clock,
    /// 250 parts per million.
    public static func judge(counterKilohertz saved: UInt32, _ now: UInt32) throws(SnapshotError) {
        if saved == 0 || now == 0 { return }
        let difference = saved > now ? saved - now : now - saved
        if UInt64(difference) * 1_000_000 > UInt64(saved) * 250 { throw .processor(.counter(saved: saved, now: now)) }
    }
}
