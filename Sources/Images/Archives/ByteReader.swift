/// Reads a source in pieces of the size that the reader of a format wants, and knows where it is.
public final class ByteReader {
    private let source: any ByteSource
    private var buffer: [UInt8]
    private var bufferStart = 0
    private var bufferEnd = 0
    /// How many bytes have been taken out so far.
    public private(set) var position: UInt64 = 0
    /// The most bytes that may ever be taken out, against decompression bombs.
    public let limit: UInt64

    public init(_ source: any ByteSource, limit: UInt64 = .max, bufferBytes: Int = 1 << 17) {
        self.source = source
        self.limit = limit
        buffer = [UInt8](repeating: 0, count: max(1024, bufferBytes))
    }

    /// Makes at least `count` bytes available where the source has so many; `count` is at most the buffer's size.
    private func fill(_ count: Int) throws(ArchiveError) {
        guard bufferEnd - bufferStart < count else { return }
        if bufferStart > 0 {
            let rest = Array(buffer[bufferStart..<bufferEnd])
            buffer.replaceBytes(at: 0, with: rest, 0..<rest.count)
            (bufferStart, bufferEnd) = (0, rest.count)
        }
        if bufferEnd == 0 {
            bufferEnd = try source.read(into: &buffer)
            if bufferEnd == 0 { return }
        }
        while bufferEnd < count {
            var more = [UInt8](repeating: 0, count: buffer.count - bufferEnd)
            let taken = try source.read(into: &more)
            if taken == 0 { return }
            buffer.replaceBytes(at: bufferEnd, with: more, 0..<taken)
            bufferEnd += taken
        }
    }

    private func advance(_ count: UInt64) throws(ArchiveError) {
        let (sum, overflow) = position.addingReportingOverflow(count)
        guard !overflow, sum <= limit else {
            throw .overBound("it unpacks to more than \(limit) bytes", at: position)
        }
        position = sum
    }

    /// The next bytes without taking them out; fewer than `count` only at the end.
    public func peek(_ count: Int) throws(ArchiveError) -> [UInt8] {
        try fill(min(count, buffer.count))
        return Array(buffer[bufferStart..<min(bufferEnd, bufferStart + count)])
    }

    /// The next `count` bytes, or nil when there is not one left.
    /// - Throws: when the source ends in between.
    public func readOptional(_ count: Int) throws(ArchiveError) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            try fill(1)
            if bufferEnd == bufferStart {
                if done == 0 { return nil }
                throw .truncated(at: position)
            }
            let taken = min(count - done, bufferEnd - bufferStart)
            bytes.replaceBytes(at: done, with: buffer, bufferStart..<(bufferStart + taken))
            try advance(UInt64(taken))
            bufferStart += taken
            done += taken
        }
        return bytes
    }

    /// The next `count` bytes. The caller has checked that `count` is no more than it is ready to hold.
    public func readExactly(_ count: Int) throws(ArchiveError) -> [UInt8] {
        if count == 0 { return [] }
        guard let bytes = try readOptional(count) else { throw .truncated(at: position) }
        return bytes
    }

    /// Fills the start of `destination` with one to `maximum` bytes; zero means the end.
    public func read(upTo maximum: Int, into destination: inout [UInt8]) throws(ArchiveError) -> Int {
        let wanted = min(maximum, destination.count)
        if bufferEnd == bufferStart && wanted == destination.count && wanted >= buffer.count {
            let count = try source.read(into: &destination)
            try advance(UInt64(count))
            return count
        }
        if wanted == 0 { return 0 }
        try fill(1)
        let count = min(wanted, bufferEnd - bufferStart)
        destination.replaceBytes(at: 0, with: buffer, bufferStart..<(bufferStart + count))
        try advance(UInt64(count))
        bufferStart += count
        return count
    }

    /// Passes over `count` bytes.
    public func skip(_ count: UInt64) throws(ArchiveError) {
        var rest = count
        while rest > 0 {
            if bufferEnd == bufferStart {
                let skipped = try source.skip(rest)
                try advance(skipped)
                rest -= skipped
                if rest == 0 { return }
                try fill(1)
                if bufferEnd == bufferStart { throw .truncated(at: position) }
            }
            let taken = min(rest, UInt64(bufferEnd - bufferStart))
            try advance(taken)
            bufferStart += Int(taken)
            rest -= taken
        }
    }

    /// Reads on to the end, as digests and checksums at the end of a stream need it.
    public func drain() throws(ArchiveError) {
        repeat {
            try advance(UInt64(bufferEnd - bufferStart))
            bufferStart = bufferEnd
            try fill(1)
        } while bufferEnd > bufferStart
    }
}
