import GuestMemory
import WireFormats

/// Runs of pages in files: each its first page (4 bytes) and how many they are (4), little-endian.
extension PageRuns {
    static let runBytes = 8

    /// Trust: the bytes may be anything. Nil unless the runs rise, are apart from each other and lie inside memory.
    init?(_ reader: inout LittleEndianReader, count: Int, memoryBytes: UInt64) {
        self.init()
        let pageCount = memoryBytes / GuestMemory.pageBytes
        for _ in 0..<count {
            guard let first = try? reader.read(UInt32.self), let length = try? reader.read(UInt32.self),
                UInt64(first) + UInt64(length) <= pageCount, append(.init(first: first, count: length))
            else { return nil }
        }
        // Two that touch would have become one.
        guard runs.count == count else { return nil }
    }

    func write(to writer: inout LittleEndianWriter) {
        for run in runs {
            writer.write(run.first)
            writer.write(run.count)
        }
    }
}
