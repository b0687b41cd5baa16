/// What a folder's server has done since it was made.
public struct FolderMetrics: Equatable, Sendable {
    public var requests: UInt64 = 0
    /// Answered with an error number.
    public var refusals: UInt64 = 0
    /// Which made no sense.
    public var badRequests: UInt64 = 0
    public var readBytes: UInt64 = 0
    public var writtenBytes: UInt64 = 0
}
