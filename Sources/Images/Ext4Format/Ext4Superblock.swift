/// What a disk's first superblock says about the file system on it, as far as one must know before it is used.
///
/// Trust: guests write these bytes. Only single fields are looked at; nothing is followed or computed with.
/// Source: Linux, Documentation/filesystems/ext4/super.rst.
public struct Ext4Superblock: Equatable, Sendable {
    /// Where it lies on the disk.
    public static let offset: UInt64 = 1024
    public static let byteCount = 1024

    /// Whether the journal holds what has not reached its place: the file system was not let go of.
    public let needsRecovery: Bool
    /// Whether the kernel, or a check, has found it damaged.
    public let hasErrors: Bool

    /// Nil for what is no superblock of ext4.
    public init?(_ bytes: [UInt8]) {
        guard bytes.count >= Self.byteCount else { return nil }
        func number(_ offset: Int, _ count: Int) -> UInt32 {
            bytes[offset..<(offset + count)].reversed().reduce(0) { $0 << 8 | UInt32($1) }
        }
        // s_magic; s_state: 1 is clean, 2 errors; s_feature_incompat: 4 is RECOVER.
        guard number(0x38, 2) == 0xef53 else { return nil }
        hasErrors = number(0x3a, 2) & 2 != 0
        needsRecovery = number(0x60, 4) & 4 != 0
    }
}
