// Compares the block device's engines: the same queue, the same file, requests kept under way by a driver in this
// process. Usage: block-engines [FILE]; the file is made (256 MiB) and removed.
import CLinux
import GuestMemory
import LinuxCalls
import VirtioDevices
import VirtioTestSupport

let fileBytes: UInt64 = 256 << 20

/// One way to use a disk.
struct Load {
    let name: String
    let isWrite: Bool
    let isRandom: Bool
    let blockBytes: UInt32
    let depth: UInt16
    let requests: Int
    /// The file is not in the page cache at the beginning.
    var isCold = false
}

struct Figures {
    var seconds = Double.infinity
    var processorSeconds = Double.infinity
    var wakeUps: UInt64 = 0
    var interrupts: UInt64 = 0
}

func wait(for event: borrowing EventFile) {
    // struct pollfd: descriptor, wanted events, found events.
    var entry = (event.descriptor.number, Int16(1), Int16(0))
    // SAFETY: the kernel uses the structure during the call.
    unsafe withUnsafeMutablePointer(to: &entry) { pointer in
        _ = linux_system_call(Int(__NR_poll), Int(bitPattern: pointer), 1, 1000, 0, 0, 0)
    }
    event.drain()
}

/// Writes a file's pages to the disk and drops them.
func forgetCached(_ path: String) throws(LinuxError) {
    let file = try open(path, .readWrite)
    try file.synchronizeData()
    // SAFETY: no address is passed; 4 is POSIX_FADV_DONTNEED.
    unsafe try systemCall(__NR_fadvise64, Int(file.number), 0, 0, 4)
}

/// Seconds of processor time of this process, all threads.
func processorSeconds() -> Double {
    var time = __kernel_timespec()
    // SAFETY: the kernel fills the structure during the call; 2 is CLOCK_PROCESS_CPUTIME_ID.
    unsafe withUnsafeMutablePointer(to: &time) { pointer in
        _ = linux_system_call(Int(__NR_clock_gettime), 2, Int(bitPattern: pointer), 0, 0, 0, 0)
    }
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

func run(_ load: Load, _ engine: BlockEngine, _ path: String) throws -> Figures {
    if load.isCold { try forgetCached(path) }
    let loop = try EventLoop()
    try startThread { loop.run() }
    defer { loop.stop() }
    let device = BlockDevice(
        try BlockBackend(try open(path, .readWrite), isReadOnly: false, cache: .writeback), serial: "benchmark",
        engine: engine, loop: loop)
    let harness = try DeviceHarness(device, memory: try GuestMemory(totalBytes: 64 << 20))
    guard harness.start(features: 1 << 29 | 1 << 9, queueSize: 256) else { throw LinuxError(EIO) }
    // As KVM does it: a write to the doorbell.
    var driver = RingDriver(harness, depth: load.depth, blockBytes: load.blockBytes, isWrite: load.isWrite)
    var generator = SeededGenerator(seed: 1)
    let blockSectors = UInt64(load.blockBytes) / 512
    let blocks = fileBytes / UInt64(load.blockBytes)
    var position: UInt64 = 0
    func nextSector() -> UInt64 {
        if load.isRandom { return generator.next() % blocks * blockSectors }
        position += 1
        return position % blocks * blockSectors
    }
    let beginning = Clock.monotonic.nanoseconds()
    let processorBeginning = processorSeconds()
    var started = 0
    var finished = 0
    var before = driver.availableIndex
    while started < Int(load.depth) {
        driver.add(slot: UInt16(started), sector: nextSector())
        started += 1
    }
    driver.publish(since: before)
    while finished < load.requests {
        before = driver.availableIndex
        let count = driver.takeFinished { driver, slot in
            if started < load.requests {
                driver.add(slot: slot, sector: nextSector())
                started += 1
            }
        }
        finished += count
        if driver.availableIndex != before { driver.publish(since: before) }
        if finished < load.requests, count == 0, !driver.wishInterrupt() {
            wait(for: harness.transport.interrupt.event)
        }
    }
    var figures = Figures()
    figures.seconds = Double(Clock.monotonic.nanoseconds() - beginning) / 1e9
    figures.processorSeconds = processorSeconds() - processorBeginning
    figures.wakeUps = device.metrics.wakeUps.value
    figures.interrupts = device.metrics.interrupts.value
    guard driver.allStatusesAreGood(), device.metrics.hostErrors.value == 0 else { throw LinuxError(EIO) }
    harness.write(0x70, 0)
    return figures
}

func rounded(_ value: Double) -> String {
    let tenths = Int((value * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
}

let path = CommandLine.arguments.count > 1 ? CommandLine.arguments[1] : "/tmp/swiftlet-block-engines"
do {
    let file = try open(path, [.create, .readWrite])
    try changeLength(file.number, lengthBytes: fileBytes)
    // Real blocks, all in the page cache.
    try writeAll(file.number, [UInt8](repeating: 7, count: Int(fileBytes)))
}
defer { try? removeFile(path) }

let loads = [
    Load(
        name: "cold random read 4 KiB, 1 at once", isWrite: false, isRandom: true, blockBytes: 4096, depth: 1,
        requests: 4_000, isCold: true),
    Load(
        name: "cold random read 4 KiB, 32 at once", isWrite: false, isRandom: true, blockBytes: 4096, depth: 32,
        requests: 8_000, isCold: true),
    Load(
        name: "cold read stream 128 KiB, 8 at once", isWrite: false, isRandom: false, blockBytes: 131_072, depth: 8,
        requests: 2_000, isCold: true),
    Load(
        name: "random read 4 KiB, 1 at once", isWrite: false, isRandom: true, blockBytes: 4096, depth: 1,
        requests: 40_000),
    Load(
        name: "random read 4 KiB, 32 at once", isWrite: false, isRandom: true, blockBytes: 4096, depth: 32,
        requests: 200_000),
    Load(
        name: "random write 4 KiB, 1 at once", isWrite: true, isRandom: true, blockBytes: 4096, depth: 1,
        requests: 40_000),
    Load(
        name: "random write 4 KiB, 32 at once", isWrite: true, isRandom: true, blockBytes: 4096, depth: 32,
        requests: 100_000),
    Load(
        name: "read stream 128 KiB, 8 at once", isWrite: false, isRandom: false, blockBytes: 131_072, depth: 8,
        requests: 20_000),
    Load(
        name: "write stream 128 KiB, 8 at once", isWrite: true, isRandom: false, blockBytes: 131_072, depth: 8,
        requests: 8_000),
]
print("load | engine | requests/s | processor µs/request | wake-ups | interrupts")
for load in loads {
    var best: [Figures] = [Figures(), Figures(), Figures()]
    for _ in 0..<5 {
        for (index, engine) in [BlockEngine.synchronous, .asynchronous, .automatic].enumerated() {
            let figures = try run(load, engine, path)
            let processor = min(best[index].processorSeconds, figures.processorSeconds)
            if figures.seconds < best[index].seconds { best[index] = figures }
            best[index].processorSeconds = processor
        }
    }
    for (figures, name) in zip(best, ["synchronous", "asynchronous", "automatic"]) {
        let rate = Int(Double(load.requests) / figures.seconds)
        let cost = figures.processorSeconds / Double(load.requests) * 1e6
        print("\(load.name) | \(name) | \(rate) | \(rounded(cost)) | \(figures.wakeUps) | \(figures.interrupts)")
    }
}
