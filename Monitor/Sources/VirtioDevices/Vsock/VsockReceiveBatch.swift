import GuestMemory
import VirtioQueues

/// Chains of the receive queue that one read of a socket is to fill: the payload's places gathered, the headers' kept for
/// when their lengths are known.
struct VsockReceiveBatch: ~Copyable {
    static let maximumChains = 16

    struct Entry {
        var chain: DescriptorChain
        /// How many bytes of payload it takes.
        var roomBytes: UInt32
    }

    private(set) var count = 0
    private var entries: [Entry?] = Array(repeating: nil, count: maximumChains)

    init() {}

    var isFull: Bool { count == Self.maximumChains }

    mutating func removeAll() { count = 0 }

    @inline(__always)
    mutating func append(_ chain: DescriptorChain, roomBytes: UInt32) {
        entries[count] = Entry(chain: chain, roomBytes: roomBytes)
        count &+= 1
    }

    @inline(__always)
    func entry(_ index: Int) -> Entry? { index < count ? entries[index] : nil }
}

extension DescriptorChain {
    /// Appends what lies behind the header to `vectors`.
    ///
    /// - Returns: how many bytes of payload fit, or nil when not even the header does.
    @inline(__always)
    func appendPayloadRoom(
        in memory: GuestMemory, headerBytes: Int, to vectors: inout IOVectorList
    ) throws(QueueError) -> UInt32? {
        var chain = self
        var skip = UInt32(headerBytes)
        var room: UInt32 = 0
        while let buffer = try chain.next(in: memory) {
            guard buffer.isDeviceWritable else { throw .unexpectedDirection }
            let skipped = min(skip, buffer.lengthBytes)
            skip &-= skipped
            let rest = buffer.lengthBytes &- skipped
            if rest == 0 { continue }
            do throws(GuestMemoryError) {
                try vectors.append(
                    memory, GuestAddress(buffer.address.value &+ UInt64(skipped)), lengthBytes: UInt64(rest))
            } catch {
                // More pieces than fit: the rest of the chain stays empty.
                if error == .tooManyVectors { break }
                throw .memory(error)
            }
            // A chain holds at most 2^32 bytes; what is beyond the type's range is never filled.
            let (sum, overflow) = room.addingReportingOverflow(rest)
            if overflow { break }
            room = sum
        }
        return skip == 0 ? room : nil
    }

    /// Writes a header into the first bytes of the chain.
    /// - Returns: whether all of it had room.
    @inline(__always)
    func write(_ header: inout VsockHeader, in memory: GuestMemory) throws(QueueError) -> Bool {
        // SAFETY: the bytes are copied during the call.
        unsafe try header.withBytes { bytes throws(QueueError) in
            unsafe try write(UnsafeRawBufferPointer(bytes), in: memory)
        }
    }

    @inline(__always)
    private func write(_ bytes: UnsafeRawBufferPointer, in memory: GuestMemory) throws(QueueError) -> Bool {
        var chain = self
        var done = 0
        while done < bytes.count, let buffer = try chain.next(in: memory) {
            guard buffer.isDeviceWritable else { throw .unexpectedDirection }
            let part = min(Int(buffer.lengthBytes), bytes.count - done)
            do throws(GuestMemoryError) {
                // SAFETY: a part of the caller's buffer, copied during the call.
                unsafe try memory.write(
                    UnsafeRawBufferPointer(rebasing: bytes[done..<done + part]), at: buffer.address)
            } catch { throw .memory(error) }
            done += part
        }
        return done == bytes.count
    }
}
