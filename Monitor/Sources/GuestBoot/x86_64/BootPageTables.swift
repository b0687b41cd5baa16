import GuestMemory

/// Page tables for long mode that map the first 4 GiB to themselves in pages of 2 MiB.
/// Source: Intel SDM volume 3 §4.5.
enum BootPageTables {
    private static let presentWritable: UInt64 = 3
    private static let large: UInt64 = 0x80
    private static let page = GuestMemory.pageBytes

    /// Writes the tables: one PML4, one directory pointer table, four directories, six pages in all.
    static func write(to memory: GuestMemory) throws(GuestMemoryError) {
        let start = LowMemoryLayout.pageTables
        let pointers = start + page
        let directories = pointers + page
        try memory.store(pointers | presentWritable, at: GuestAddress(start))
        for index in 0..<UInt64(4) {
            try memory.store(
                (directories + index * page) | presentWritable, at: GuestAddress(pointers + index * 8))
        }
        for index in 0..<UInt64(2048) {
            try memory.store(
                index << 21 | presentWritable | large, at: GuestAddress(directories + index * 8))
        }
    }

    /// Writes the descriptors that the processor's segments stand for.
    static func writeDescriptors(_ processor: InitialProcessorState, to memory: GuestMemory) throws(GuestMemoryError) {
        let descriptors = [0, 0, processor.code.descriptor, processor.data.descriptor, processor.task.descriptor, 0]
        for (index, descriptor) in descriptors.enumerated() {
            try memory.store(descriptor, at: GuestAddress(processor.gdtBase + UInt64(index) * 8))
        }
    }
}
