public import LinuxCalls

/// Between the listed bytes and a room or a file of this process.
extension IOVectorList {
    /// Copies the first bytes into a room and drops them from the list; returns how many, at most `count`.
    public mutating func removeFirst(_ count: Int, into room: borrowing ByteRoom, at offset: Int = 0) -> Int {
        // SAFETY: the room is borrowed during the call.
        unsafe removeFirst(copyingInto: room.bytes(offset, count))
    }

    /// Copies a room's first bytes in; returns how many found place.
    @discardableResult
    public borrowing func copyIn(_ room: borrowing ByteRoom, count: Int) -> Int {
        // SAFETY: the room is borrowed during the call.
        unsafe copyIn(UnsafeRawBufferPointer(room.bytes(0, count)))
    }

    /// Reads from a file into the listed bytes behind the first `skipped`; returns how many came, fewer than have room only
    /// where the file ends: some file systems give less at a time.
    /// - Throws: only when nothing came.
    public mutating func read(
        from descriptor: Int32, offset: UInt64, skipping skipped: UInt64
    ) throws(LinuxError) -> Int {
        var done: UInt64 = 0
        while skipped &+ done < totalBytes {
            let count: Int
            do throws(LinuxError) {
                count = unsafe try withVectors(skipping: skipped &+ done) { vectors throws(LinuxError) in
                    // SAFETY: the vectors are over guest memory, which stays mapped.
                    unsafe try VectoredIO.read(descriptor, vectors, offset: offset &+ done)
                }
            } catch {
                if done == 0 { throw error }
                break
            }
            if count <= 0 { break }
            done &+= UInt64(count)
        }
        return Int(done)
    }

    /// Writes the first `count` listed bytes to a file and drops what was taken from the list; returns how many, fewer only
    /// when the file takes no more.
    /// - Parameter flags: `RWF_` flags.
    /// - Throws: only when nothing was taken.
    public mutating func write(
        to descriptor: Int32, offset: UInt64, atMost count: UInt64, flags: Int = 0
    ) throws(LinuxError) -> Int {
        var done: UInt64 = 0
        while done < count, totalBytes > 0 {
            let taken: Int
            do throws(LinuxError) {
                taken = unsafe try withVectors(ofFirst: count &- done) { vectors throws(LinuxError) in
                    // SAFETY: as above.
                    unsafe try VectoredIO.write(descriptor, vectors, offset: offset &+ done, flags: flags)
                }
            } catch {
                if done == 0 { throw error }
                break
            }
            if taken <= 0 { break }
            removeFirst(bytes: UInt64(taken))
            done &+= UInt64(taken)
        }
        return Int(done)
    }
}
