/// The feature bits that every device shares, each as its bit in the 64-bit set.
/// Source: virtio 1.3 §6.
public enum QueueFeatures {
    /// VIRTIO_F_INDIRECT_DESC (28): a descriptor may point to a table of further ones.
    public static let indirectDescriptors: UInt64 = 1 << 28
    /// VIRTIO_F_EVENT_IDX (29): each side says at which index it wants to be told.
    public static let eventIndex: UInt64 = 1 << 29
    /// VIRTIO_F_VERSION_1 (32): not the legacy interface.
    public static let version1: UInt64 = 1 << 32

    /// What `SplitQueue` can do; every device offers it.
    public static let all: UInt64 = indirectDescriptors | eventIndex
}
