import GuestMemory
import LinuxCalls
import VirtioDevices
import VirtioQueues
import VirtioTestSupport

/// A disk of 128 sectors behind a working block device.
struct BlockHarness {
    static let sectors: UInt64 = 128
    let disk: ScratchDisk
    let device: BlockDevice
    let harness: DeviceHarness
    var driver: MockDriver { harness.drivers[0] }

    init(
        engine: BlockEngine, isReadOnly: Bool = false, cache: BlockCache = .writeback, features: UInt64 = .max,
        disk: ScratchDisk? = nil
    ) throws {
        let disk = try disk ?? ScratchDisk(lengthBytes: Self.sectors * 512)
        try self.init(
            BlockBackend(try disk.open(), isReadOnly: isReadOnly, cache: cache), disk: disk, engine: engine,
            features: features)
    }

    /// - Parameter disk: for the test's own use.
    init(
        _ backend: consuming BlockBackend, disk: ScratchDisk, engine: BlockEngine, features: UInt64 = .max
    ) throws {
        self.disk = disk
        device = BlockDevice(
            backend, serial: "serial-of-the-disk", engine: engine, loop: try DeviceHarness.makeLoop())
        harness = try DeviceHarness(device, memory: try GuestMemory(totalBytes: 8 << 20))
        harness.start(features: features)
    }

    /// Starts the device anew, with somebody who hears of the host's first error.
    func restart(whenHostFails: @escaping (LinuxError, Int, UInt64) -> Void) {
        device.whenHostFails = whenHostFails
        harness.start()
    }

    static func header(_ operation: UInt32, sector: UInt64) -> [UInt8] {
        littleEndian(UInt64(operation), 4) + littleEndian(0, 4) + littleEndian(sector, 8)
    }

    static func range(sector: UInt64, count: UInt32, flags: UInt32 = 0) -> [UInt8] {
        littleEndian(sector, 8) + littleEndian(UInt64(count), 4) + littleEndian(UInt64(flags), 4)
    }

    static func littleEndian(_ value: UInt64, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * UInt64($0))) }
    }

    /// Sends one request and waits; returns its data and status, and the number of bytes said to be written.
    func request(
        _ operation: UInt32, sector: UInt64, writing data: [MockBuffer] = [], reading: [Int] = []
    ) -> (data: [UInt8], status: UInt8, writtenBytes: UInt32)? {
        let buffers =
            [.readable(Self.header(operation, sector: sector))] + data + reading.map { .writable($0) } + [.writable(1)]
        guard driver.add(buffers, indirect: driver.features & QueueFeatures.indirectDescriptors != 0) != nil else {
            return nil
        }
        harness.notify()
        guard let (used, contents) = harness.awaitUsed(), let status = contents.last else { return nil }
        return (contents.dropLast(), status, used.writtenBytes)
    }
}
