import CCompression
public import HostFiles

/// Compresses what it takes into a file, and keeps the digests of both.
///
/// The result depends on the bytes and on zlib alone: no name, no time.
/// Source: RFC 1952 §2.3 (zlib writes the header with MTIME 0).
@safe public final class GzipByteSink: ByteSink {
    /// What came of it.
    public struct Summary: Equatable, Sendable {
        /// Of what was taken.
        public let plain: SHA256Digest
        public let compressed: SHA256Digest
        public let compressedBytes: UInt64
    }

    /// The quickest: layers are compressed by whoever waits for them.
    private static let level: Int32 = 1
    /// Of zlib's own memory; its default.
    private static let memoryLevel: Int32 = 8
    private static let pieceBytes = 1 << 18

    private let file: HostFile
    private var plainHash = SHA256()
    private var compressedHash = SHA256()
    private var compressedBytes: UInt64 = 0
    private var output = [UInt8](repeating: 0, count: GzipByteSink.pieceBytes)
    private let stream: UnsafeMutablePointer<z_stream>

    /// - Parameter file: written at its own position.
    public init(_ file: consuming HostFile) throws(ArchiveError) {
        self.file = file
        // SAFETY: zlib keeps the structure's address, so it lives in memory of its own until `deinit`.
        unsafe stream = .allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
        // 15 is the largest window there is, 16 more means gzip framing.
        let result = unsafe deflateInit2_(
            stream, Self.level, Z_DEFLATED, 15 + 16, Self.memoryLevel, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
            Int32(MemoryLayout<z_stream>.size))
        guard result == Z_OK else { throw .damagedCompression("zlib cannot start (\(result))") }
    }

    deinit {
        // SAFETY: initialised in `init`, and used by nobody any more.
        unsafe deflateEnd(stream)
        unsafe stream.deallocate()
    }

    public func write(_ bytes: Span<UInt8>) throws(HostFileError) {
        plainHash.update(bytes)
        var rest = 0
        while rest < bytes.count {
            let count = min(bytes.count - rest, Self.pieceBytes)
            try deflate(bytes.extracting(rest..<(rest + count)), flush: Z_NO_FLUSH)
            rest += count
        }
    }

    /// Writes out what is left; nothing can be written after it. Whether it is on the disk is the caller's to see to.
    public func finish() throws(HostFileError) -> Summary {
        let nothing: [UInt8] = []
        try deflate(nothing.span, flush: Z_FINISH)
        return Summary(
            plain: plainHash.finalize(), compressed: compressedHash.finalize(), compressedBytes: compressedBytes)
    }

    private func deflate(_ bytes: Span<UInt8>, flush: Int32) throws(HostFileError) {
        // A span of a class's property lives too short to be handed on.
        var buffer: [UInt8] = []
        swap(&buffer, &output)
        defer { swap(&buffer, &output) }
        var taken = 0
        while true {
            let rest = bytes.extracting(taken..<bytes.count)
            let (consumed, produced, isFull) = deflateOnce(rest, into: &buffer, flush)
            taken += consumed
            if produced > 0 {
                let piece = buffer.span.extracting(first: produced)
                compressedHash.update(piece)
                compressedBytes += UInt64(produced)
                try file.write(piece)
            }
            // Output that was not filled means that zlib has taken everything in.
            if !isFull { return }
        }
    }

    private func deflateOnce(
        _ bytes: Span<UInt8>, into output: inout [UInt8], _ flush: Int32
    ) -> (consumed: Int, produced: Int, isFull: Bool) {
        let capacity = output.count
        // SAFETY: zlib reads at most the span's bytes, and writes at most `capacity` bytes into the output array, both only
        // during the call.
        return unsafe bytes.withUnsafeBufferPointer { input in
            unsafe output.withUnsafeMutableBufferPointer { output in
                unsafe stream.pointee.next_in = input.baseAddress
                unsafe stream.pointee.avail_in = UInt32(input.count)
                unsafe stream.pointee.next_out = output.baseAddress
                unsafe stream.pointee.avail_out = UInt32(capacity)
                _ = unsafe CCompression.deflate(stream, flush)
                let left = unsafe Int(stream.pointee.avail_out)
                return (unsafe input.count - Int(stream.pointee.avail_in), capacity - left, left == 0)
            }
        }
    }
}
