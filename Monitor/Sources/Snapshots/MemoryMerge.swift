import GuestMemory
import LinuxCalls

/// Lays differential memory files over the full one that they are relative to. What comes out is a full memory file, and
/// belongs to the state file of the last one.
public enum MemoryMerge {
    private static let pieceBytes = 1 << 20

    /// Copies a full memory file to an empty file, with holes where it has holes.
    public static func copy(_ base: Int32, to result: Int32) throws(SnapshotError) {
        let (_, memoryBytes) = try MemoryImage.readTrailer(base)
        let lengthBytes = memoryBytes + UInt64(MemoryImage.trailerBytes)
        do throws(LinuxError) {
            try changeLength(result, lengthBytes: lengthBytes)
            try copyData(base, 0, lengthBytes, to: result)
        } catch { throw .file(error) }
    }

    /// Lays what changed over a full memory file. When it is cut off in the middle, that file is none any more and says so.
    public static func lay(_ changes: borrowing DifferentialImage, over base: Int32) throws(SnapshotError) {
        let (identifier, memoryBytes) = try MemoryImage.readTrailer(base)
        guard changes.memoryBytes == memoryBytes else {
            throw .otherMemorySize(found: changes.memoryBytes, wanted: memoryBytes)
        }
        guard changes.parents.contains(identifier) else { throw .otherParent }
        let trailer = MemoryImage.trailer(identifier: changes.identifier, memoryBytes: memoryBytes)
        do throws(LinuxError) {
            // Neither the one nor the other until all is there.
            try writeAll(base, [UInt8](repeating: 0, count: trailer.count), offset: memoryBytes)
            for run in changes.pages.runs {
                let start = UInt64(run.first) * GuestMemory.pageBytes
                let lengthBytes = UInt64(run.count) * GuestMemory.pageBytes
                try clear(base, start, lengthBytes)
                try copyData(changes.file.number, start, start + lengthBytes, to: base)
            }
            try writeAll(base, trailer, offset: memoryBytes)
        } catch { throw .file(error) }
    }

    /// Makes a range zeros: a hole where the file system has them.
    private static func clear(_ file: Int32, _ offset: UInt64, _ lengthBytes: UInt64) throws(LinuxError) {
        do throws(LinuxError) {
            // FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE
            try FolderCalls.allocate(file, mode: 3, offset: Int64(offset), count: Int64(lengthBytes))
        } catch {
            // Not every file system has holes; what else may be wrong is met again here.
            var done: UInt64 = 0
            while done < lengthBytes {
                let count = min(lengthBytes - done, UInt64(pieceBytes))
                try writeAll(file, [UInt8](repeating: 0, count: Int(count)), offset: offset + done)
                done += count
            }
        }
    }

    /// Copies what is not a hole, by the file system where it can share blocks or copy by itself.
    private static func copyData(
        _ source: Int32, _ start: UInt64, _ end: UInt64, to target: Int32
    ) throws(LinuxError) {
        var offset = start
        while offset < end, let data = try nextData(source, from: offset), data.start < end {
            offset = data.start
            let stop = min(data.end, end)
            while offset < stop {
                let copied =
                    (try? FolderCalls.copyRange(
                        source, Int64(offset), to: target, Int64(offset), count: Int(min(stop - offset, 1 << 30)))) ?? 0
                if copied > 0 {
                    offset += UInt64(copied)
                    continue
                }
                let bytes = try readBytes(
                    source, offset: offset, count: Int(min(stop - offset, UInt64(pieceBytes))))
                // The file became shorter meanwhile.
                guard !bytes.isEmpty else { throw LinuxError.invalidArgument }
                try writeAll(target, bytes, offset: offset)
                offset += UInt64(bytes.count)
            }
        }
    }
}
