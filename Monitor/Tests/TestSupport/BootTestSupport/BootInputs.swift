import GuestBoot
import GuestMemory
public import LinuxCalls

/// An open file in memory with these bytes.
public func memoryFile(holding bytes: [UInt8]) throws(LinuxError) -> FileDescriptor {
    let file = try memoryFile(name: "boot-test", lengthBytes: 0)
    try writeAll(file.number, bytes)
    return file
}

/// Puts other bytes in the place of a file's first ones.
public func rewrite(_ file: Int32, _ bytes: [UInt8]) throws {
    let other = try FileTree.open(Array("/proc/self/fd/\(file)".utf8), .writeOnly)
    try writeAll(other.number, bytes)
}

/// Loads arbitrary bytes as a kernel, once read and once mapped, and prepares a boot with them: whatever they say, there
/// is an answer, both ways the same, and a kernel that was taken lies within memory.
public func fuzzKernelImage(_ bytes: [UInt8]) {
    guard let file = try? memoryFile(holding: bytes) else { return }
    let isRead = outcome(file.number, mapsFiles: false)
    let isMapped = outcome(file.number, mapsFiles: true)
    precondition(isRead == isMapped, "reading and mapping disagree")
}

private func outcome(_ file: Int32, mapsFiles: Bool) -> Result<PreparedBoot, BootError>? {
    let memoryBytes: UInt64 = 64 << 20
    guard let memory = try? GuestMemory(totalBytes: memoryBytes) else { return nil }
    let request = BootRequest(
        kernel: file, commandLine: "console=ttyS0", platform: PlatformDescription(processorIdentifiers: [0]),
        mapsFiles: mapsFiles)
    do throws(BootError) {
        let prepared = try request.prepare(in: memory)
        precondition(prepared.kernelEnd <= memoryBytes && prepared.processor.rip < prepared.kernelEnd)
        return .success(prepared)
    } catch {
        precondition(!error.description.isEmpty)
        return .failure(error)
    }
}
