/// Passes bytes on and refuses to end unless they have the announced length and digest.
///
/// Whoever reads must read to the end before trusting what came: only the end tells.
public final class DigestingByteSource: ByteSource {
    private let source: any ByteSource
    private let expected: SHA256Digest
    private let expectedBytes: UInt64?
    private var hash = SHA256()
    private var seenBytes: UInt64 = 0
    private var isVerified = false

    public init(_ source: any ByteSource, expected: SHA256Digest, expectedBytes: UInt64?) {
        self.source = source
        self.expected = expected
        self.expectedBytes = expectedBytes
    }

    public func read(into buffer: inout [UInt8]) throws(ArchiveError) -> Int {
        if isVerified { return 0 }
        let count = try source.read(into: &buffer)
        seenBytes += UInt64(count)
        if let expectedBytes, seenBytes > expectedBytes || (count == 0 && seenBytes < expectedBytes) {
            throw .wrongDigest(
                expected: "\(expectedBytes) bytes", found: count == 0 ? "\(seenBytes) bytes" : "more bytes")
        }
        if count > 0 {
            hash.update(buffer, first: count)
            return count
        }
        let found = hash.finalize()
        guard found == expected else { throw .wrongDigest(expected: "\(expected)", found: "\(found)") }
        isVerified = true
        return 0
    }
}
