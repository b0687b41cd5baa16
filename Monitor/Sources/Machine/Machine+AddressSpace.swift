import GuestMemory
import LinuxCalls

extension Machine {
    /// What this process may map, and so the memory that it can take: guest memory once more and its place twice for a snapshot of
    /// a machine that runs; what is attached to it; and rooms of the monitor's, most of which is never touched.
    func limitAddressSpace() {
        let folders = UInt64(builtDevices.count { $0.mayHang })
        var most = memory.totalBytes * 4 + (1 + folders) * Self.roomBytes
        for attachment in memory.attachments { most += attachment.lengthBytes }
        // Who gets none has the one before.
        try? ProcessSetup.lowerLimit(.addressSpace, to: most)
    }

    /// More than the tables of a shared folder come to, or all else.
    private static let roomBytes: UInt64 = 1 << 30
}
