/// Where the settings lie on their floppy. Layout: Documentation/floppy.md.
public enum SlotLayout {
    public static let label = bytes("SETTINGS   ")
    public static let slotNames = [bytes("SLOT_A  SET"), bytes("SLOT_B  SET")]
    static let readmeName = bytes("README  TXT")
    /// 512 KiB: two slots of that size fit, with room to spare.
    public static let maximumBodyBytes = 1024 * FAT12Volume.sectorBytes
    static let slotSectors = 1025

    private static let readme: StaticString = """
        These are the settings of a Swiftlet machine: two generations, in SLOT_A.SET and SLOT_B.SET.\r
        The first 512 bytes of each describe it; then come lines "path=value".\r
        The newest whole one counts. Change them with `swiftlet settings`, not by hand: their checksums\r
        would be wrong. Do not move or resize the two files.\r

        """

    /// A floppy without a generation.
    public static func emptyFloppy(serial: UInt32) throws(FloppyError) -> [UInt8] {
        let slot = [UInt8](repeating: 0, count: slotSectors * FAT12Volume.sectorBytes)
        return try FAT12Volume.floppy(
            label: label, serial: serial,
            files: [
                (slotNames[0], slot), (slotNames[1], slot),
                (readmeName, bytes(readme)),
            ])
    }
}

/// A text's bytes, without the means to handle text: those would be 17 KB of the guest's agent.
func bytes(_ text: StaticString) -> [UInt8] { text.withUTF8Buffer { unsafe [UInt8]($0) } }
