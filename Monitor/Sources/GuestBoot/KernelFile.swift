import GuestMemory
import LinuxCalls

/// A kernel image file that is being judged and loaded.
struct KernelFile {
    let descriptor: Int32
    let sizeBytes: UInt64
    /// Its first bytes; all that decides about the format is among them.
    let head: LittleEndianFields
    /// Whether whole pages may be mapped.
    let isMapped: Bool

    static let headMaximumBytes = 4096

    init(_ descriptor: Int32, mapsFiles: Bool) throws(BootError) {
        self.descriptor = descriptor
        do throws(LinuxError) {
            sizeBytes = try fileSizeBytes(descriptor)
            head = LittleEndianFields(
                bytes: try readBytes(descriptor, offset: 0, count: Self.headMaximumBytes))
        } catch {
            throw .kernelUnreadable(error)
        }
        if head.count == 0 { throw .kernelEmpty }
        isMapped = mapsFiles && isOnLocalFileSystem(descriptor)
    }

    /// A part of the file; the caller has bounded `count`.
    func bytes(_ part: KernelPart, offset: UInt64, count: Int) throws(BootError) -> LittleEndianFields {
        try check(part, offset: offset, lengthBytes: UInt64(count))
        if let end = Int(exactly: offset), end <= head.count, count <= head.count - end {
            return LittleEndianFields(bytes: Array(head.bytes[end..<end + count]))
        }
        do throws(LinuxError) {
            let bytes = try readBytes(descriptor, offset: offset, count: count)
            if bytes.count == count { return LittleEndianFields(bytes: bytes) }
        } catch {
            throw .kernelUnreadable(error)
        }
        throw .kernelTruncated(part, neededBytes: offset + UInt64(count), fileBytes: sizeBytes)
    }

    /// Makes sure that the file has such bytes.
    func check(_ part: KernelPart, offset: UInt64, lengthBytes: UInt64) throws(BootError) {
        let (end, overflow) = offset.addingReportingOverflow(lengthBytes)
        guard !overflow, end <= sizeBytes else {
            throw .kernelTruncated(part, neededBytes: overflow ? .max : end, fileBytes: sizeBytes)
        }
    }

    /// Puts a checked part of the file into guest memory.
    func load(
        _ part: KernelPart, offset: UInt64, lengthBytes: UInt64, at address: UInt64, memory: GuestMemory
    ) throws(BootError) {
        do throws(GuestFileError) {
            let count = try memory.place(
                file: descriptor, offset: offset, at: GuestAddress(address), lengthBytes: lengthBytes,
                mapsPages: isMapped)
            if count == lengthBytes { return }
        } catch {
            switch error {
            case .file(let error): throw .kernelUnreadable(error)
            case .memory(let error): throw .guestMemory(error)
            }
        }
        throw .kernelTruncated(part, neededBytes: offset + lengthBytes, fileBytes: sizeBytes)
    }
}

extension GuestMemory {
    /// Puts a part of a file into guest memory: whole pages by mapping them, when that is wanted and the file's pages lie
    /// as the guest's do, the rest by reading. The range of the file has been checked against the file's length.
    /// - Returns: how many bytes came.
    func place(
        file: Int32, offset: UInt64, at address: GuestAddress, lengthBytes: UInt64, mapsPages: Bool
    ) throws(GuestFileError) -> UInt64 {
        guard contains(address, lengthBytes: lengthBytes) else {
            throw .memory(.outOfRange(address, lengthBytes: lengthBytes))
        }
        let page = Self.pageBytes
        let head = (page - address.value % page) % page
        guard mapsPages, address.value % page == offset % page, lengthBytes >= head + page else {
            return try read(file: file, offset: offset, into: address, lengthBytes: lengthBytes)
        }
        let mapped = (lengthBytes - head) / page * page
        let tail = lengthBytes - head - mapped
        do throws(GuestFileError) {
            try map(
                file: file, offset: offset + head, over: GuestAddress(address.value + head), lengthBytes: mapped)
        } catch {
            // Some files cannot be mapped; all that can be opened for reading can be read.
            return try read(file: file, offset: offset, into: address, lengthBytes: lengthBytes)
        }
        var count = mapped
        if head > 0 { count += try read(file: file, offset: offset, into: address, lengthBytes: head) }
        if tail > 0 {
            count += try read(
                file: file, offset: offset + head + mapped, into: GuestAddress(address.value + head + mapped),
                lengthBytes: tail)
        }
        return count
    }
}
