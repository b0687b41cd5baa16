import Foundation
import GuestMemory
import LinuxCalls
import SharedFolders
import Testing
import VirtioDevices
import VirtioQueues
import VirtioTestSupport

@Suite struct FileSystemDeviceTests {
    let path = NSTemporaryDirectory() + "fs-" + UUID().uuidString

    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }

    private func makeDevice() throws -> FileSystemDevice {
        let folder = try FolderService(LinuxCalls.open(path, [.path, .directory]), FolderSettings(nodeLimit: 64))
        return FileSystemDevice(tag: "data", folder, loop: try DeviceHarness.makeLoop())
    }

    private func request(_ operation: UInt32, _ node: UInt64, _ body: [UInt8]) -> [UInt8] {
        FolderClient.bytes(UInt32(40 + body.count), operation) + FolderClient.bytes(9, node)
            + FolderClient.bytes(UInt32(0), 0, 0, 0) + body
    }

    @Test func `it conforms`() throws {
        #expect(try DeviceConformance { try makeDevice() }.run() == [])
    }

    @Test func `its tag and number of queues can be read`() throws {
        let device = try makeDevice()
        #expect(device.readConfiguration(offset: 0, width: 4) == 0x6174_6164)
        #expect(
            device.readConfiguration(offset: 4, width: 4) == 0 && device.readConfiguration(offset: 36, width: 4) == 1)
    }

    @Test func `requests are answered, what wants no answer is given back, and a reset forgets all`() throws {
        let harness = try DeviceHarness(try makeDevice(), memory: try GuestMemory(totalBytes: 4 << 20))
        #expect(harness.start(features: 0))
        let begin = FolderClient.bytes(UInt32(7), 38, 0, 0)
        harness.drivers[1].add([.readable(request(26, 0, begin)), .writable(16), .writable(64)])
        harness.notify(1)
        let answer = try #require(harness.drivers[1].takeUsedWithContents())
        #expect(
            answer.used.writtenBytes == 80 && Array(answer.contents[4..<16]) == [0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0])
        #expect(harness.takeInterrupt())
        harness.drivers[0].add([.readable(request(2, 1, FolderClient.bytes(UInt64(1))))])
        harness.notify(0)
        #expect(harness.drivers[0].takeUsed()?.writtenBytes == 0)
        harness.drivers[1].add([.readable(request(3, 1, [UInt8](repeating: 0, count: 16))), .writable(120)])
        harness.notify(1)
        #expect(harness.drivers[1].takeUsed()?.writtenBytes == 120)
        #expect(harness.start(features: 0))
        harness.drivers[1].add([.readable(request(3, 1, [UInt8](repeating: 0, count: 16))), .writable(120)])
        harness.notify(1)
        // Nothing before INIT: an error of 16 bytes.
        #expect(harness.drivers[1].takeUsed()?.writtenBytes == 16)
    }

    @Test func `more requests than one turn serves are all served`() throws {
        let harness = try DeviceHarness(try makeDevice(), memory: try GuestMemory(totalBytes: 4 << 20))
        #expect(harness.start(features: 0, queueSize: 512))
        for _ in 0..<200 { harness.drivers[1].add([.readable(request(99, 1, [])), .writable(16)]) }
        harness.notify(1)
        for _ in 0..<200 { #expect(harness.drivers[1].takeUsed()?.writtenBytes == 16) }
    }

    @Test func `a readable buffer behind a writable one stops the device until a reset`() throws {
        let device = try makeDevice()
        let harness = try DeviceHarness(device, memory: try GuestMemory(totalBytes: 4 << 20))
        #expect(harness.start(features: 0))
        harness.drivers[1].add([.writable(16), .readable([1])])
        harness.notify(1)
        #expect(harness.status & 0x40 != 0 && device.metrics.queueFaults.value == 1)
        #expect(harness.start(features: 0) && harness.status == 0xf)
    }
}
