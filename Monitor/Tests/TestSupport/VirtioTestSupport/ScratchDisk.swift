public import LinuxCalls

/// A disk image in memory, for tests; each caller of `open` gets a descriptor of its own.
public final class ScratchDisk {
    private let file: FileDescriptor

    public init(lengthBytes: UInt64) throws(LinuxError) {
        file = try memoryFile(name: "disk", lengthBytes: lengthBytes)
    }

    /// Takes over a file, such as one on a real disk.
    public init(_ file: consuming FileDescriptor) { self.file = file }

    public func open() throws(LinuxError) -> FileDescriptor { try file.duplicate() }

    /// What lies at an offset; fewer bytes at the end of the file.
    public func bytes(at offset: UInt64, count: Int) throws(LinuxError) -> [UInt8] {
        try readBytes(file.number, offset: offset, count: count)
    }

    public func write(_ bytes: [UInt8], at offset: UInt64) throws(LinuxError) {
        // SAFETY: the vectors point into the array, which outlives the call.
        _ = unsafe try bytes.withUnsafeBufferPointer { buffer throws(LinuxError) in
            let base = unsafe UnsafeMutableRawPointer(mutating: buffer.baseAddress)
            return unsafe try withUnsafeTemporaryAllocation(of: IOVector.self, capacity: 1) {
                vectors throws(LinuxError) in
                unsafe vectors[0] = IOVector(base: base, length: UInt(buffer.count))
                return unsafe try VectoredIO.write(file.number, UnsafeBufferPointer(vectors), offset: offset)
            }
        }
    }

    public func truncate(toBytes lengthBytes: UInt64) throws(LinuxError) {
        try changeLength(file.number, lengthBytes: lengthBytes)
    }
}
