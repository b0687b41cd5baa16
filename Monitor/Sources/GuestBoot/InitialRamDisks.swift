import GuestMemory
import LinuxCalls

/// Initial RAM disks in guest memory, one behind the other, each on a page of its own.
///
/// Linux unpacks any number of archives from one range and passes over zero bytes between them.
/// Source: Linux Documentation/driver-api/early-userspace/buffer-format.rst.
struct InitialRamDisks: Equatable {
    /// A multiple of the page size.
    var start: UInt64
    /// To the end of the last one.
    var lengthBytes: UInt64

    static let none = InitialRamDisks(start: 0, lengthBytes: 0)

    /// Loads them at the top of what is free above the kernel.
    static func load(
        _ files: [Int32], above kernel: LoadedKernel, memory: GuestMemory, mapsFiles: Bool
    ) throws(BootError) -> InitialRamDisks {
        let lowBytes = GuestMemoryPlan(totalBytes: memory.totalBytes).lowBytes
        // The highest address may be the last of the address space; no sum with it overflows a minimum first taken.
        let top = min(kernel.initialRamDiskMaximumAddress, lowBytes - 1) + 1
        let bottom = aligned(kernel.end)
        let available = top > bottom ? top - bottom : 0

        var sizes: [UInt64] = []
        var total: UInt64 = 0
        for (index, file) in files.enumerated() {
            do throws(LinuxError) {
                let size = try fileSizeBytes(file)
                sizes.append(size)
                // Sizes beyond all memory are cut, so that no sum overflows.
                total = aligned(total) + min(size, 1 << 56)
            } catch {
                throw .initialRamDiskUnreadable(index: index, error)
            }
            if total > available {
                throw .initialRamDiskTooLarge(bytes: total, availableBytes: available, memoryBytes: lowBytes)
            }
        }
        if total == 0 { return .none }
        let start = (top - total) / GuestMemory.pageBytes * GuestMemory.pageBytes
        guard start >= bottom else {
            throw .initialRamDiskTooLarge(bytes: total, availableBytes: available, memoryBytes: lowBytes)
        }

        var address = start
        for (index, file) in files.enumerated() {
            var count: UInt64 = 0
            do throws(GuestFileError) {
                count = try memory.place(
                    file: file, offset: 0, at: GuestAddress(address), lengthBytes: sizes[index],
                    mapsPages: mapsFiles && isOnLocalFileSystem(file))
            } catch {
                switch error {
                case .file(let error): throw .initialRamDiskUnreadable(index: index, error)
                case .memory(let error): throw .guestMemory(error)
                }
            }
            if count != sizes[index] { throw .initialRamDiskTruncated(index: index) }
            address = aligned(address + sizes[index])
        }
        return InitialRamDisks(start: start, lengthBytes: total)
    }

    /// Up to the next page; the argument is far from the end of the address space.
    private static func aligned(_ address: UInt64) -> UInt64 {
        (address + GuestMemory.pageBytes - 1) / GuestMemory.pageBytes * GuestMemory.pageBytes
    }
}
