import CHashing

/// The SHA-256 digest of bytes that arrive in pieces of any size.
///
/// It uses the processor's own instructions where there are some and plain Swift elsewhere
/// (`Documentation/design/0020-hashing-and-decompression.md` has the figures).
/// Source: FIPS 180-4 §5.1.1, §6.2.
public struct SHA256: Sendable {
    private var words = SHA256Compression.initialState
    private var pending = [UInt8](repeating: 0, count: 64)
    private var pendingCount = 0
    private var totalBytes: UInt64 = 0
    private let usesInstructions: Bool

    public init() { self.init(allowsInstructions: true) }

    /// `allowsInstructions: false` forces the portable code, so that tests compare the two.
    package init(allowsInstructions: Bool) {
        usesInstructions = allowsInstructions && Self.processorHasInstructions
    }

    package static let processorHasInstructions = swiftlet_sha256_available()

    /// The digest of one run of bytes.
    public static func digest(of bytes: [UInt8]) -> SHA256Digest {
        var hash = SHA256()
        hash.update(bytes)
        return hash.finalize()
    }

    public mutating func update(_ bytes: [UInt8]) { update(bytes.span) }

    /// Takes in the first `count` bytes.
    public mutating func update(_ bytes: [UInt8], first count: Int) { update(bytes.span.extracting(first: count)) }

    /// Takes in further bytes.
    public mutating func update(_ bytes: Span<UInt8>) {
        totalBytes &+= UInt64(bytes.count)
        var start = 0
        if pendingCount > 0 {
            start = min(64 - pendingCount, bytes.count)
            for index in 0..<start { pending[pendingCount + index] = bytes[index] }
            pendingCount += start
            guard pendingCount == 64 else { return }
            let block = pending
            compress(block.span)
            pendingCount = 0
        }
        let end = start + (bytes.count - start) / 64 * 64
        if end > start { compress(bytes.extracting(start..<end)) }
        for index in end..<bytes.count { pending[index - end] = bytes[index] }
        pendingCount = bytes.count - end
    }

    /// The digest of everything taken in. The value must not be used further.
    public mutating func finalize() -> SHA256Digest {
        let bitCount = totalBytes &* 8
        var padding: [UInt8] = [0x80]
        padding.append(contentsOf: [UInt8](repeating: 0, count: (119 - pendingCount) % 64))
        for shift in stride(from: 56, through: 0, by: -8) {
            padding.append(UInt8(truncatingIfNeeded: bitCount >> UInt64(shift)))
        }
        update(padding)
        return SHA256Digest(words: words)
    }

    /// Takes in a multiple of 64 bytes.
    private mutating func compress(_ blocks: Span<UInt8>) {
        guard usesInstructions else { return SHA256Compression.compress(blocks, into: &words) }
        let blockCount = blocks.count / 64
        // SAFETY: the span holds `blockCount` whole blocks, the array holds eight words, and both pointers are used
        // only inside the call.
        unsafe words.withUnsafeMutableBufferPointer { words in
            unsafe blocks.withUnsafeBufferPointer { bytes in
                guard let words = words.baseAddress, let bytes = bytes.baseAddress else { return }
                unsafe swiftlet_sha256_blocks(words, bytes, blockCount)
            }
        }
    }
}
