import GuestMemory

/// What lies where in guest-physical memory, as firmware tells it.
/// Source: ACPI 6.5 §15 "System Address Map Interfaces".
struct MemoryMap {
    struct Entry: Equatable {
        var start: UInt64
        var lengthBytes: UInt64
        var kind: Kind
    }

    enum Kind: UInt32 {
        case usable = 1
        case reserved = 2
    }

    let entries: [Entry]

    /// - Parameter totalBytes: at least `minimumBytes`.
    init(totalBytes: UInt64) {
        let plan = GuestMemoryPlan(totalBytes: totalBytes)
        var entries = [
            Entry(start: 0, lengthBytes: LowMemoryLayout.extendedBIOSData, kind: .usable),
            Entry(
                start: LowMemoryLayout.extendedBIOSData,
                lengthBytes: LowMemoryLayout.videoMemory - LowMemoryLayout.extendedBIOSData, kind: .reserved),
            Entry(
                start: LowMemoryLayout.acpiTables,
                lengthBytes: LowMemoryLayout.highMemory - LowMemoryLayout.acpiTables, kind: .reserved),
            Entry(
                start: LowMemoryLayout.highMemory, lengthBytes: plan.lowBytes - LowMemoryLayout.highMemory,
                kind: .usable),
        ]
        if plan.highBytes > 0 {
            entries.append(
                Entry(start: GuestMemoryPlan.highMemoryStart, lengthBytes: plan.highBytes, kind: .usable))
        }
        self.entries = entries
    }

    static let minimumBytes: UInt64 = 2 << 20
}
