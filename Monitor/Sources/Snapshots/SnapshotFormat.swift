/// The state file. All numbers are little-endian.
///
/// A header of 40 bytes: "SWLTSNAP", major version (2 bytes), minor version (2), architecture (4, 1 is x86-64), the
/// file's length (8), zero (8), the CRC-64 of all bytes behind the header and of the header before it (8). Then sections
/// to the end, each a number (4), a length (4) and so many bytes.
///
/// A change that an older reader would misread raises the major version; a section that it may leave out has a number
/// from `firstOptional` up, and raises the minor one. Every older version is read.
public enum SnapshotFormat {
    /// 2: memory is plugged, whose blocks lie behind the rest in the memory file.
    public static let major: UInt16 = 2
    /// Of what has nothing of a later one.
    static let oldestMajor: UInt16 = 1
    public static let minor: UInt16 = 0
    /// Far more than the largest machine has.
    public static let maximumBytes = 4 << 20

    static let magic: [UInt8] = Array("SWLTSNAP".utf8)
    static let architecture: UInt32 = 1
    static let headerBytes = 40
    /// Where the checksum lies in the header.
    static let checksumOffset = 32

    enum Section: UInt32 {
        case machine = 1
        case processor = 2
        case device = 3
        case platform = 4
        case serialPort = 5
        case configuration = 6
    }
    static let firstOptional: UInt32 = 0x8000_0000
}
