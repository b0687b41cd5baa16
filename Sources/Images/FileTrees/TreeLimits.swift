/// Bounds on what one image may hold, against archives that are made to exhaust the host.
public struct TreeLimits: Sendable {
    /// Files, folders, links: everything with a name.
    public var maximumEntries: Int
    /// Bytes that an archive may unpack to, headers included.
    public var maximumContentBytes: UInt64

    public init(maximumEntries: Int = 4_000_000, maximumContentBytes: UInt64 = 256 << 30) {
        self.maximumEntries = maximumEntries
        self.maximumContentBytes = maximumContentBytes
    }
}
