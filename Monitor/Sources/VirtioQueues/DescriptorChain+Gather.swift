public import GuestMemory

extension DescriptorChain {
    /// Collects all buffers into two emptied lists, ready for the kernel.
    ///
    /// - Throws: what the driver did wrong, or `tooManyVectors` when it used more buffers than the lists hold.
    @inline(__always)
    public consuming func gather(
        in memory: GuestMemory, readable: inout IOVectorList, writable: inout IOVectorList
    ) throws(QueueError) {
        readable.removeAll()
        writable.removeAll()
        while let buffer = try next(in: memory) {
            do throws(GuestMemoryError) {
                if buffer.isDeviceWritable {
                    try writable.append(memory, buffer.address, lengthBytes: UInt64(buffer.lengthBytes))
                } else {
                    try readable.append(memory, buffer.address, lengthBytes: UInt64(buffer.lengthBytes))
                }
            } catch { throw .memory(error) }
        }
    }

    /// Collects the buffers of a chain that may hold only device-readable ones.
    @inline(__always)
    public consuming func gather(
        in memory: GuestMemory, readable: inout IOVectorList
    ) throws(QueueError) {
        readable.removeAll()
        while let buffer = try next(in: memory) {
            if buffer.isDeviceWritable { throw .unexpectedDirection }
            do throws(GuestMemoryError) {
                try readable.append(memory, buffer.address, lengthBytes: UInt64(buffer.lengthBytes))
            } catch { throw .memory(error) }
        }
    }

    /// Collects the buffers of a chain that may hold only device-writable ones, behind what the list already holds
    /// (several chains may receive one packet).
    @inline(__always)
    public consuming func gather(
        in memory: GuestMemory, appendingWritable writable: inout IOVectorList
    ) throws(QueueError) {
        while let buffer = try next(in: memory) {
            if !buffer.isDeviceWritable { throw .unexpectedDirection }
            do throws(GuestMemoryError) {
                try writable.append(memory, buffer.address, lengthBytes: UInt64(buffer.lengthBytes))
            } catch { throw .memory(error) }
        }
    }
}
