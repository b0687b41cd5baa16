/// What a drive of another process has met, counted since it was made. Raised on the device's thread.
public final class VhostUserBlockMetrics: Sendable {
    /// Times that the driver was ready and the backend was not.
    public let failedActivations = Counter()
    /// Configurations that could not be read anew.
    public let failedRefreshes = Counter()
    /// One when the backend is gone.
    public let losses = Counter()

    public init() {}
}
