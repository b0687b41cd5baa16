import CLinux
public import LinuxCalls

/// Plugged blocks in the memory's image: behind all that the guest began with, one after the other in rising order. They stay
/// what they are while the guest stands still.
extension GuestMemory {
    /// How much is plugged.
    public var pluggedBytes: UInt64 {
        var bytes: UInt64 = 0
        for attachment in attachments { bytes &+= attachment.pluggedBytes }
        return bytes
    }

    /// How long the image is.
    public var imageBytes: UInt64 { totalBytes &+ pluggedBytes }

    /// Calls `body` with each run of plugged blocks, and where it lies in the image.
    public func forEachPluggedRun<E>(
        _ body: (_ start: GuestAddress, _ lengthBytes: UInt64, _ offset: UInt64) throws(E) -> Void
    ) throws(E) {
        var offset = totalBytes
        for attachment in attachments {
            var block: UInt64 = 0
            while let run = attachment.pluggedRun(from: block) {
                let lengthBytes = run.count &* attachment.blockBytes
                try body(
                    GuestAddress(attachment.start.value &+ run.first &* attachment.blockBytes), lengthBytes, offset)
                offset &+= lengthBytes
                block = run.first &+ run.count
            }
        }
    }

    /// Writes those pages of plugged blocks that are not all zeros to where they lie in the image. Allocates nothing.
    /// - Returns: how many bytes were written.
    func writePlugged(to destination: Int32) throws(LinuxError) -> UInt64 {
        var written: UInt64 = 0
        try forEachPluggedRun { start, lengthBytes, offset throws(LinuxError) in
            guard let base = unsafe host(start, lengthBytes) else { return }
            // SAFETY: the run is memory, and stays so while the guest stands still.
            written &+= unsafe try writeNonzeroPages(
                UnsafeRawBufferPointer(start: base, count: Int(truncatingIfNeeded: lengthBytes)), at: offset,
                to: destination)
        }
        return written
    }

    /// Fills plugged blocks, in which nothing is yet, from a file that holds an image. What is a hole there stays untouched.
    /// - Throws: EIO where the file ends before it should.
    public func readPlugged(from file: Int32) throws(LinuxError) {
        try forEachPluggedRun { start, lengthBytes, offset throws(LinuxError) in
            guard let base = unsafe host(start, lengthBytes) else { return }
            var position = offset
            let end = offset &+ lengthBytes
            while position < end, let data = try nextData(file, from: position), data.start < end {
                let stop = min(data.end, end)
                // SAFETY: the range lies inside the run, which is memory.
                let part = unsafe UnsafeMutableRawBufferPointer(
                    start: base + Int(truncatingIfNeeded: data.start &- offset),
                    count: Int(truncatingIfNeeded: stop &- data.start))
                guard unsafe try readAll(file, into: part, offset: data.start) == part.count else {
                    throw LinuxError(EIO)
                }
                position = stop
            }
        }
    }
}
