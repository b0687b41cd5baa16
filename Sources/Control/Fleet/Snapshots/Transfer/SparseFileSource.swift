import Archives
import HostFiles

/// The data of a file, without its holes, in the order in which a tar has it.
final class SparseFileSource: ByteSource {
    /// What a tar here may have: TarReader.maximumExtents, less the one that a tar ends with.
    private static let mostExtents = (1 << 20) - 1

    let sizeBytes: UInt64
    let extents: [TarEntry.Extent]
    private let file: HostFile
    private var place = 0
    private var done: UInt64 = 0

    init(_ path: HostPath) throws(HostFileError) {
        file = try HostFile(path)
        sizeBytes = try file.status().sizeBytes
        // Where there are more holes than a tar can tell of, small ones become zeros.
        var leastHole: UInt64 = 1
        while true {
            guard let found = try Self.extents(of: file, sizeBytes, leastHole: leastHole) else {
                leastHole = max(leastHole * 4, 16 << 10)
                continue
            }
            extents = found
            return
        }
    }

    var dataBytes: UInt64 { extents.reduce(0) { $0 + $1.length } }

    /// Nil when there are too many.
    private static func extents(
        of file: borrowing HostFile, _ size: UInt64, leastHole: UInt64
    ) throws(HostFileError) -> [TarEntry.Extent]? {
        var extents: [TarEntry.Extent] = []
        var offset: UInt64 = 0
        while offset < size, let run = try file.nextData(from: offset) {
            let end = min(run.upperBound, size)
            guard run.lowerBound < end else { break }
            if let last = extents.last, run.lowerBound - (last.offset + last.length) < leastHole {
                extents[extents.count - 1] = TarEntry.Extent(offset: last.offset, length: end - last.offset)
            } else {
                extents.append(TarEntry.Extent(offset: run.lowerBound, length: end - run.lowerBound))
            }
            guard extents.count <= mostExtents else { return nil }
            offset = end
        }
        return extents
    }

    func read(into buffer: inout [UInt8]) throws(ArchiveError) -> Int {
        while place < extents.count {
            let extent = extents[place]
            if done == extent.length {
                (place, done) = (place + 1, 0)
                continue
            }
            let wanted = Int(min(UInt64(buffer.count), extent.length - done))
            let count: Int
            do { count = try file.read(wanted, at: extent.offset + done, into: &buffer) } catch { throw .host(error) }
            // Somebody has cut the file off.
            guard count > 0 else { throw .truncated(at: extent.offset + done) }
            done += UInt64(count)
            return count
        }
        return 0
    }
}
