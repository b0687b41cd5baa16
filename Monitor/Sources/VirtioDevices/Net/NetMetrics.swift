/// What a network device has done and met. Never reset.
public final class NetMetrics: Sendable {
    /// Frames and bytes (headers of virtio not counted) to the guest.
    public let receivedFrames = Counter()
    public let receivedBytes = Counter()
    /// Frames and bytes from the guest.
    public let sentFrames = Counter()
    public let sentBytes = Counter()
    /// Frames of the guest that the interface did not take: malformed, or it is down.
    public let droppedFrames = Counter()
    /// Frames of the guest shorter than their header.
    public let malformedFrames = Counter()
    /// How often the interface had no room for the guest's frames.
    public let interfaceFull = Counter()
    /// How often the guest had no room for a frame.
    public let guestFull = Counter()
    /// The interface has gone.
    public let linkLosses = Counter()
    /// Queues that the driver broke; each needs a reset of the device.
    public let queueFaults = Counter()

    public init() {}
}
