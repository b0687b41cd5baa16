/// What a vsock device has done and met. Never reset.
public final class VsockMetrics: Sendable {
    /// Connections that the guest and the host agreed on, whoever asked.
    public let connectionsEstablished = Counter()
    /// Requests of either side that came to nothing: refused, nobody there, no place left.
    public let connectionsRefused = Counter()
    /// Handshakes and closings that took too long.
    public let timeouts = Counter()
    public let bytesToGuest = Counter()
    public let bytesToHost = Counter()
    public let packetsToGuest = Counter()
    public let packetsFromGuest = Counter()
    /// Packets too short, with a length that is not there, or with an operation that means nothing where it came.
    public let malformedPackets = Counter()
    /// Packets from or to a context that is not the guest or not the host.
    public let wrongContexts = Counter()
    /// Payloads beyond the room that the guest had been told.
    public let creditViolations = Counter()
    /// Resets that found no room because the guest takes none.
    public let droppedResets = Counter()
    /// Queues that the driver broke; each needs a reset of the device.
    public let queueFaults = Counter()

    public init() {}
}
