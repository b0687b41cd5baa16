public import LinuxCalls

/// Runs of bytes, copied in or out. The guest may change them meanwhile: judge the copy, never the original.
extension GuestMemory {
    /// Fills `buffer` from guest memory.
    public func read(
        _ address: GuestAddress, into buffer: UnsafeMutableRawBufferPointer
    ) throws(GuestMemoryError) {
        // SAFETY: the source range is checked; the destination is the caller's own.
        let source = unsafe try checkedHost(address, UInt64(buffer.count))
        if let destination = buffer.baseAddress {
            unsafe destination.copyMemory(from: source, byteCount: buffer.count)
        }
    }

    /// A copy of `count` bytes.
    public func bytes(at address: GuestAddress, count: Int) throws(GuestMemoryError) -> [UInt8] {
        // Checked before anything is allocated: the count may be the guest's.
        let source = unsafe try checkedHost(address, UInt64(max(count, 0)))
        // SAFETY: the source range is checked.
        return unsafe [UInt8](UnsafeRawBufferPointer(start: source, count: max(count, 0)))
    }

    /// Copies `buffer` into guest memory.
    public func write(_ buffer: UnsafeRawBufferPointer, at address: GuestAddress) throws(GuestMemoryError) {
        // SAFETY: the destination range is checked; the source is the caller's own.
        let destination = unsafe try checkedHost(address, UInt64(buffer.count))
        if let source = buffer.baseAddress {
            unsafe destination.copyMemory(from: source, byteCount: buffer.count)
        }
    }

    /// Copies the first bytes of a room into guest memory.
    public func write(_ room: borrowing ByteRoom, count: Int, at address: GuestAddress) throws(GuestMemoryError) {
        // SAFETY: the bytes lie in the room, which is borrowed for the call.
        unsafe try write(UnsafeRawBufferPointer(room.bytes(0, count)), at: address)
    }

    /// Copies bytes into guest memory.
    public func write(_ bytes: [UInt8], at address: GuestAddress) throws(GuestMemoryError) {
        // SAFETY: the array outlives the call.
        unsafe try bytes.span.withUnsafeBytes { buffer throws(GuestMemoryError) in
            unsafe try write(buffer, at: address)
        }
    }

    /// Sets a range to zero.
    public func zero(_ address: GuestAddress, lengthBytes: UInt64) throws(GuestMemoryError) {
        // SAFETY: the range is checked.
        let start = unsafe try checkedHost(address, lengthBytes)
        unsafe start.initializeMemory(as: UInt8.self, repeating: 0, count: Int(truncatingIfNeeded: lengthBytes))
    }
}
