import BootTestSupport
import GuestBoot
import GuestMemory
import LinuxCalls

let mebibyte: UInt64 = 1 << 20

/// Loads bytes as a kernel.
func load(
    _ bytes: [UInt8], memoryBytes: UInt64 = 64 << 20, mapsFiles: Bool = false
) throws -> (LoadedKernel, GuestMemory) {
    let file = try memoryFile(holding: bytes)
    let memory = try GuestMemory(totalBytes: memoryBytes)
    return (try KernelImage.load(file: file.number, into: memory, mapsFiles: mapsFiles), memory)
}

/// Why bytes cannot be loaded as a kernel; nil when they can.
func refusal(_ bytes: [UInt8], memoryBytes: UInt64 = 64 << 20) throws -> BootError? {
    let file = try memoryFile(holding: bytes)
    let memory = try GuestMemory(totalBytes: memoryBytes)
    do throws(BootError) {
        _ = try KernelImage.load(file: file.number, into: memory)
        return nil
    } catch {
        return error
    }
}

/// Numbers that differ from place to place.
func pattern(_ count: Int, seed: Int = 1) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: ($0 &* 131 &+ seed &* 17) ^ ($0 >> 8)) }
}

/// Prepares a boot of bytes in memory of a size.
func prepare(
    _ kernel: [UInt8], ramDisks: [[UInt8]] = [], commandLine: String = "quiet", memoryBytes: UInt64 = 64 << 20,
    platform: PlatformDescription = PlatformDescription(processorIdentifiers: [0]),
    bootProtocol: BootProtocol? = nil, discovery: Discovery = .all, randomSeed: [UInt8] = [], mapsFiles: Bool = true
) throws -> (PreparedBoot, GuestMemory) {
    let file = try memoryFile(holding: kernel)
    let disks = try ramDisks.map { try memoryFile(holding: $0).release() }
    defer { for disk in disks { _ = FileDescriptor(owning: disk) } }
    let memory = try GuestMemory(totalBytes: memoryBytes)
    let request = BootRequest(
        kernel: file.number, initialRamDisks: disks, commandLine: commandLine, platform: platform,
        bootProtocol: bootProtocol, discovery: discovery, randomSeed: randomSeed, mapsFiles: mapsFiles)
    return (try request.prepare(in: memory), memory)
}

extension GuestMemory {
    /// Bytes at a place, for comparison.
    func at(_ address: UInt64, _ count: Int) throws -> [UInt8] { try bytes(at: GuestAddress(address), count: count) }
}
