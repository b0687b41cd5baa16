import CLinux
public import LinuxCalls

/// Whole files, or parts of them, put into guest memory before the guest runs.
extension GuestMemory {
    /// Reads a part of a file straight into guest memory.
    /// - Returns: how many bytes came; fewer than asked only where the file ends.
    public func read(
        file: Int32, offset: UInt64, into address: GuestAddress, lengthBytes: UInt64
    ) throws(GuestFileError) -> UInt64 {
        guard let destination = unsafe host(address, lengthBytes) else {
            throw .memory(.outOfRange(address, lengthBytes: lengthBytes))
        }
        // SAFETY: the destination range is checked, and guest memory stays mapped.
        let buffer = unsafe UnsafeMutableRawBufferPointer(
            start: destination, count: Int(truncatingIfNeeded: lengthBytes))
        do throws(LinuxError) {
            return UInt64(unsafe try readAll(file, into: buffer, offset: offset))
        } catch {
            throw .file(error)
        }
    }

    /// Lays pages of a file over guest memory, privately: nothing is copied until the guest touches a page, guests that
    /// run the same file share its pages, and what a guest writes stays its own.
    ///
    /// All three numbers must be multiples of the page size. Only before the guest runs, and only for files that nobody
    /// shortens meanwhile: a page that is gone ends the guest. Memory of huge pages gets a copy. The file behind guest memory (`fileNumber`) does not have
    /// these bytes, only the mapping has; a discarded page shows the file again.
    public func map(
        file: Int32, offset: UInt64, over address: GuestAddress, lengthBytes: UInt64
    ) throws(GuestFileError) {
        let pageMask = Self.pageBytes - 1
        guard (address.value | offset | lengthBytes) & pageMask == 0 else { throw .memory(.misaligned(address)) }
        guard lengthBytes > 0 else { return }
        guard let destination = unsafe host(address, lengthBytes) else {
            throw .memory(.outOfRange(address, lengthBytes: lengthBytes))
        }
        if hasHugePages {
            // No smaller page can lie within one of them.
            _ = try read(file: file, offset: offset, into: address, lengthBytes: lengthBytes)
            return
        }
        do throws(LinuxError) {
            // SAFETY: the range is wholly inside this object's own mapping, which is undone as a whole in the end.
            unsafe try systemCall(
                __NR_mmap, Int(bitPattern: destination), Int(truncatingIfNeeded: lengthBytes),
                Int(PROT_READ | PROT_WRITE), Int(MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE), Int(file),
                Int(truncatingIfNeeded: offset))
        } catch {
            throw .file(error)
        }
        privateRanges.append(GuestRange(start: address, lengthBytes: lengthBytes))
    }

    /// Gives this guest its own copies of mapped pages at once; parts of pages at either end are left as they are.
    ///
    /// For pages that it is sure to write: in one call they cost a third of what they cost when each stops the guest, once
    /// to be read and once more to be written. The guest may run meanwhile.
    public func prefault(_ address: GuestAddress, lengthBytes: UInt64) {
        let pageMask = Int(Self.pageBytes) - 1
        guard let destination = unsafe host(address, lengthBytes) else { return }
        let first = (Int(bitPattern: destination) + pageMask) & ~pageMask
        let end = (Int(bitPattern: destination) + Int(truncatingIfNeeded: lengthBytes)) & ~pageMask
        guard first < end else { return }
        // Linux before 5.14 does not know it; the guest's first write makes the copy then.
        _ = linux_system_call(Int(__NR_madvise), first, end - first, Int(MADV_POPULATE_WRITE), 0, 0, 0)
    }

    /// The smallest unit in which memory is mapped.
    public static var pageBytes: UInt64 { 4096 }
}

/// Why a file could not be put into guest memory.
public enum GuestFileError: Error, Equatable, Sendable {
    case memory(GuestMemoryError)
    case file(LinuxError)
}
