import CCompression

/// What a zstd stream holds: all its frames, one after the other, each with its checksum verified where it has one.
///
/// A frame whose window is above 128 MiB is refused, so that memory stays bounded.
/// Source: RFC 8878 §3.1 (frames), §3.1.1.1.2 (window).
@safe public final class ZstdByteSource: ByteSource {
    private let input: any ByteSource
    private var inputBuffer = [UInt8](repeating: 0, count: 1 << 17)
    private var inputStart = 0
    private var inputEnd = 0
    private var inputEnded = false
    private var isBetweenFrames = true
    private let stream: OpaquePointer

    public init(_ input: any ByteSource) throws(ArchiveError) {
        self.input = input
        // SAFETY: the stream is freed in `deinit`.
        guard let stream = unsafe ZSTD_createDStream() else { throw .damagedCompression("zstd cannot start") }
        unsafe self.stream = stream
    }

    deinit {
        // SAFETY: made in `init`, and used by nobody any more.
        unsafe ZSTD_freeDStream(stream)
    }

    public func read(into buffer: inout [UInt8]) throws(ArchiveError) -> Int {
        while true {
            if inputStart == inputEnd && !inputEnded {
                inputStart = 0
                inputEnd = try input.read(into: &inputBuffer)
                inputEnded = inputEnd == 0
            }
            if inputEnded && isBetweenFrames { return 0 }
            let before = inputStart
            let (result, produced) = decompressOnce(into: &buffer)
            if ZSTD_isError(result) != 0 {
                // SAFETY: zstd returns one of its own constant strings.
                let reason = unsafe String(cString: ZSTD_getErrorName(result))
                throw .damagedCompression("zstd says: \(reason)")
            }
            isBetweenFrames = result == 0
            if produced > 0 { return produced }
            if inputEnded && inputStart == before && !isBetweenFrames {
                throw .damagedCompression("the zstd stream ends too early; it was cut off")
            }
        }
    }

    private func decompressOnce(into buffer: inout [UInt8]) -> (result: Int, produced: Int) {
        let available = inputEnd
        // SAFETY: zstd reads the input array between `inputStart` and `inputEnd` and writes at most the output array's
        // length, both only during the call.
        return unsafe inputBuffer.withUnsafeBufferPointer { input in
            unsafe buffer.withUnsafeMutableBufferPointer { output in
                var from = unsafe ZSTD_inBuffer(src: input.baseAddress, size: available, pos: inputStart)
                var to = unsafe ZSTD_outBuffer(dst: output.baseAddress, size: output.count, pos: 0)
                let result = unsafe ZSTD_decompressStream(stream, &to, &from)
                inputStart = unsafe from.pos
                return (result, unsafe to.pos)
            }
        }
    }
}
