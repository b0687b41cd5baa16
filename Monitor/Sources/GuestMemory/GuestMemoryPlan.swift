/// Where guest memory lies: low memory up to the device window, the rest from 4 GiB.
public struct GuestMemoryPlan: Equatable, Sendable {
    /// Where devices' registers begin; memory stops below.
    public static let deviceWindowStart: UInt64 = 0xd000_0000
    /// Where memory goes on.
    public static let highMemoryStart: UInt64 = 0x1_0000_0000

    /// Bytes from address zero.
    public let lowBytes: UInt64
    /// Bytes from `highMemoryStart`.
    public let highBytes: UInt64

    public init(totalBytes: UInt64) {
        lowBytes = min(totalBytes, Self.deviceWindowStart)
        highBytes = totalBytes - lowBytes
    }
}
