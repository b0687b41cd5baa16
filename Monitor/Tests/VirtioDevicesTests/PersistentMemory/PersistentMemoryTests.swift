import CLinux
import GuestMemory
import LinuxCalls
import Testing
import VirtioTestSupport

@testable import VirtioDevices

@Suite struct PersistentMemoryTests {
    private static let fileBytes: UInt64 = 3 << 12

    private let memory: GuestMemory
    private let attachment: MemoryAttachment
    private let device: PersistentMemoryDevice
    private let harness: DeviceHarness
    private let number: Int32

    init() throws {
        memory = try GuestMemory(totalBytes: 1 << 20)
        let file = try memoryFile(name: "persistent", lengthBytes: Self.fileBytes)
        number = file.number
        attachment = try memory.attach(file: file, fileBytes: Self.fileBytes, isReadOnly: false)
        device = PersistentMemoryDevice(file, attachment, loop: try DeviceHarness.makeLoop())
        harness = try DeviceHarness(device, memory: memory)
        #expect(harness.start())
    }

    /// The answer; nil when there is none.
    private func ask(_ request: [UInt8], room: Int = 4) -> [UInt8]? {
        harness.drivers[0].add([.readable(request), .writable(room)])
        harness.notify()
        guard let (used, contents) = harness.drivers[0].takeUsedWithContents() else { return nil }
        return Array(contents.prefix(Int(used.writtenBytes)))
    }

    @Test func `it conforms`() throws {
        let conformance = DeviceConformance {
            let file = try memoryFile(name: "persistent", lengthBytes: 4096)
            let attachment = try GuestMemory(totalBytes: 1 << 20).attach(file: file, fileBytes: 4096, isReadOnly: false)
            return PersistentMemoryDevice(file, attachment, loop: try DeviceHarness.makeLoop())
        }
        #expect(try conformance.run() == [])
    }

    @Test func `the driver reads where the file's pages lie`() {
        #expect(harness.transport.read(offset: 0x100, width: 8) == 4 << 30)
        #expect(harness.transport.read(offset: 0x108, width: 8) == 2 << 20)
        #expect(harness.transport.read(offset: 0x110, width: 8) == 0)
    }

    @Test func `what devices put there is in the file, and behind its end it is nowhere`() throws {
        try memory.write([1, 2, 3], at: GuestAddress(attachment.start.value + Self.fileBytes - 3))
        #expect(try readBytes(number, offset: Self.fileBytes - 3, count: 10) == [1, 2, 3])
        try memory.write([4], at: GuestAddress(attachment.start.value + Self.fileBytes))
        #expect(try readBytes(number, offset: Self.fileBytes, count: 10) == [])
        #expect(!memory.contains(attachment.start, lengthBytes: 2 << 20 + 1))
    }

    @Test func `a flush is answered, and nothing else is one`() {
        #expect(ask([0, 0, 0, 0]) == [0, 0, 0, 0])
        #expect(device.metrics.flushes.value == 1)
        #expect(ask([1, 0, 0, 0]) == [1, 0, 0, 0])
        #expect(ask([0, 0, 0]) == [1, 0, 0, 0])
        #expect(ask([], room: 8) == [1, 0, 0, 0])
        #expect(ask([0, 0, 0, 0], room: 3) == [1, 0, 0])
        #expect(device.metrics.flushes.value == 1)
        #expect(device.metrics.badRequests.value == 4)
        #expect(harness.status == 0xf)
    }

    @Test func `a flush that fails is told`() throws {
        // A pipe cannot be flushed.
        let pipe = try StreamSocket.pair()
        let device = PersistentMemoryDevice(pipe.first, attachment, loop: try DeviceHarness.makeLoop())
        let harness = try DeviceHarness(device, memory: memory)
        #expect(harness.start())
        harness.drivers[0].add([.readable([0, 0, 0, 0]), .writable(4)])
        harness.notify()
        #expect(harness.drivers[0].takeUsedWithContents()?.contents == [1, 0, 0, 0])
        #expect(device.metrics.hostErrors.value == 1)
    }

    @Test func `flushes wait for their limit`() throws {
        try device.setLimits { limiter, handler, token throws(LinuxError) in
            try limiter.setOperations(size: 1, burst: 0, refillMilliseconds: 50, handler: handler, token: token)
        }
        for _ in 0..<3 { harness.drivers[0].add([.readable([0, 0, 0, 0]), .writable(4)]) }
        let begin = Clock.monotonic.nanoseconds()
        harness.write(0x50, 0)
        for _ in 0..<3 { #expect(harness.awaitUsed()?.contents == [0, 0, 0, 0]) }
        #expect(Clock.monotonic.nanoseconds() - begin > 60_000_000)
    }

    @Test func `a state goes on with a file as long as it was`() throws {
        #expect(device.ownState == [4 << 30, 2 << 20])
        try device.restore(ownState: [4 << 30, 2 << 20])
        #expect(throws: DeviceStateError.capacity(saved: 8192, now: 4096)) {
            try device.restore(ownState: [4 << 30, 4 << 20])
        }
        #expect(throws: DeviceStateError.malformed) { try device.restore(ownState: [5 << 30, 2 << 20]) }
        #expect(throws: DeviceStateError.malformed) { try device.restore(ownState: []) }
    }

    @Test func `who touches a page that its file has lost is ended with the reason`() async throws {
        let result = await #expect(processExitsWith: .exitCode(1), observing: [\.standardErrorContent]) {
            let memory = try GuestMemory(totalBytes: 1 << 20)
            let file = try memoryFile(name: "persistent", lengthBytes: 1 << 20)
            let attachment = try memory.attach(file: file, fileBytes: 1 << 20, isReadOnly: false)
            reportLostPages()
            try changeLength(file.number, lengthBytes: 4096)
            try memory.store(UInt8(1), at: attachment.start)
            try memory.store(UInt8(1), at: GuestAddress(attachment.start.value + 8192))
        }
        let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
        #expect(text.contains("shorter than it was"))
    }
}
