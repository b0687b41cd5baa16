public import GuestMemory

/// Sixteen random bytes in guest memory that are others in each clone: a guest that finds them changed knows that it has
/// been copied, and takes new random numbers before it gives any away.
///
/// They lie where ACPI says (`VM_Gen_Counter`), in memory that no kernel uses for anything else. Behind them lies what tells a later
/// monitor that they are there: snapshots of before have none, and no guest is harmed that writes the mark itself.
/// Source: Microsoft, Virtual Machine Generation ID, 2012.
public enum MachineGeneration {
    public static let address = GuestAddress(LowMemoryLayout.generation)
    public static let byteCount = 16
    static let mark: [UInt8] = Array("SWLT-GENERATION1".utf8)

    /// Gives a machine that has not run yet a generation.
    /// - Parameter random: `byteCount` bytes that no other machine has.
    public static func place(_ random: [UInt8], in memory: GuestMemory) throws(GuestMemoryError) {
        try memory.write(random + mark, at: address)
    }

    /// Changes the generation of a machine that has one. The guest stands still.
    /// - Returns: whether it has one.
    public static func renew(_ random: [UInt8], in memory: GuestMemory) -> Bool {
        guard let place = address.advanced(by: UInt64(byteCount)),
            (try? memory.bytes(at: place, count: mark.count)) == mark
        else { return false }
        do throws(GuestMemoryError) { try memory.write(random, at: address) } catch { return false }
        return true
    }
}
