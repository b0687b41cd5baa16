import CCompression

/// What a gzip stream holds: all its members, one after the other, each with its checksum verified.
///
/// Source: RFC 1952 §2.2 (members), §2.3.1 (CRC32, ISIZE; verified by zlib).
@safe public final class GzipByteSource: ByteSource {
    private let input: any ByteSource
    private var inputBuffer = [UInt8](repeating: 0, count: 1 << 16)
    private var inputStart = 0
    private var inputEnd = 0
    private var inputEnded = false
    /// Between members, where the stream may end.
    private var isBetweenMembers = false
    private let stream: UnsafeMutablePointer<z_stream>

    public init(_ input: any ByteSource) throws(ArchiveError) {
        self.input = input
        // SAFETY: zlib keeps the structure's address, so it lives in memory of its own until `deinit`.
        unsafe stream = .allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
        // 15 is the largest window there is, 16 more means gzip framing.
        let result = unsafe inflateInit2_(stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard result == Z_OK else { throw .damagedCompression("zlib cannot start (\(result))") }
    }

    deinit {
        // SAFETY: initialised in `init`, and used by nobody any more.
        unsafe inflateEnd(stream)
        unsafe stream.deallocate()
    }

    public func read(into buffer: inout [UInt8]) throws(ArchiveError) -> Int {
        while true {
            if inputStart == inputEnd && !inputEnded {
                inputStart = 0
                inputEnd = try input.read(into: &inputBuffer)
                inputEnded = inputEnd == 0
            }
            if isBetweenMembers {
                // Zeros after the last member are padding (tapes, block devices), as for gzip(1).
                while inputStart < inputEnd && inputBuffer[inputStart] == 0 { inputStart += 1 }
                if inputStart == inputEnd {
                    if inputEnded { return 0 }
                    continue
                }
                // SAFETY: the stream is initialised.
                unsafe inflateReset(stream)
                isBetweenMembers = false
            }
            let (result, produced) = inflateOnce(into: &buffer)
            switch result {
            case Z_STREAM_END: isBetweenMembers = true
            case Z_OK: break
            case Z_BUF_ERROR:
                if inputEnded { throw .damagedCompression("the gzip stream ends too early; it was cut off") }
            default: throw .damagedCompression("not what gzip writes, or a wrong checksum (zlib says \(result))")
            }
            if produced > 0 { return produced }
        }
    }

    private func inflateOnce(into buffer: inout [UInt8]) -> (result: Int32, produced: Int) {
        let available = inputEnd - inputStart
        let capacity = min(buffer.count, 1 << 30)
        // SAFETY: zlib reads `available` bytes that are in the input array from `inputStart`, and writes at most
        // `capacity` bytes into the output array, both only during the call.
        return unsafe inputBuffer.withUnsafeBufferPointer { input in
            unsafe buffer.withUnsafeMutableBufferPointer { output in
                guard let from = input.baseAddress, let to = output.baseAddress else { return (Z_BUF_ERROR, 0) }
                unsafe stream.pointee.next_in = from + inputStart
                unsafe stream.pointee.avail_in = UInt32(available)
                unsafe stream.pointee.next_out = to
                unsafe stream.pointee.avail_out = UInt32(capacity)
                let result = unsafe inflate(stream, Z_NO_FLUSH)
                inputStart = unsafe inputEnd - Int(stream.pointee.avail_in)
                return (result, unsafe capacity - Int(stream.pointee.avail_out))
            }
        }
    }
}
