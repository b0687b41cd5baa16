/// Tells how many bytes are read or passed over, as they are.
public final class CountingByteSource: ByteSource {
    private let source: any ByteSource
    private let report: (UInt64) -> Void

    /// - Parameter report: is called with the bytes since its last call.
    public init(_ source: any ByteSource, _ report: @escaping (UInt64) -> Void) {
        self.source = source
        self.report = report
    }

    public func read(into buffer: inout [UInt8]) throws(ArchiveError) -> Int {
        let count = try source.read(into: &buffer)
        report(UInt64(count))
        return count
    }

    public func skip(_ count: UInt64) throws(ArchiveError) -> UInt64 {
        let skipped = try source.skip(count)
        report(skipped)
        return skipped
    }
}
