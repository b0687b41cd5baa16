public import GuestMemory

/// Loads kernel images of any kind that can be booted.
public enum KernelImage {
    /// Puts a kernel into guest memory.
    ///
    /// Trust: nothing that the file says is believed before it is checked; a file that lies gets an error.
    /// - Parameters:
    ///   - descriptor: an open, readable file.
    ///   - memory: fresh, that is, zeroed.
    ///   - mapsFiles: whether whole pages may be mapped instead of read.
    public static func load(
        file descriptor: Int32, into memory: GuestMemory, mapsFiles: Bool = true
    ) throws(BootError) -> LoadedKernel {
        let file = try KernelFile(descriptor, mapsFiles: mapsFiles)
        let lowBytes = GuestMemoryPlan(totalBytes: memory.totalBytes).lowBytes
        if file.head.has(ElfKernel.magic) {
            let kernel = try ElfKernel(file)
            return try kernel.load(file, memory: memory, lowBytes: lowBytes)
        }
        if BzImage.isRecognized(file.head) {
            let kernel = try BzImage(file)
            return try kernel.load(file, memory: memory, lowBytes: lowBytes)
        }
        throw .kernelFormatUnknown(ForeignFormat(head: file.head))
    }
}
