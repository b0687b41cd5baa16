import Foundation
import GuestMemory
import LinuxCalls
import Testing
import VirtioDevices
import VirtioQueues
import VirtioTestSupport

private let program = "/usr/bin/qemu-storage-daemon"

/// A drive served by QEMU's storage daemon: somebody else's reading of the protocol.
@Suite(
    .serialized,
    .enabled(if: FileManager.default.isExecutableFile(atPath: program), "\(program) is missing (qemu-system-common)"))
struct StorageDaemonTests {
    private final class Daemon {
        let folder: String
        let process = Process()
        var socket: String { folder + "/socket" }
        var disk: String { folder + "/disk" }

        init(isReadOnly: Bool = false) throws {
            folder = "/tmp/swiftlet-vhost-user-\(UInt64.random(in: 0 ... .max))"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            try Data(repeating: 7, count: 1 << 20).write(to: URL(filePath: disk))
            process.executableURL = URL(filePath: program)
            process.arguments = [
                "--blockdev", "driver=file,node-name=disk,filename=\(disk)",
                "--export",
                "type=vhost-user-blk,id=export,node-name=disk,addr.type=unix,addr.path=\(socket),writable="
                    + (isReadOnly ? "off" : "on"),
            ]
            try process.run()
            for _ in 0..<6000 where !FileManager.default.fileExists(atPath: socket) { usleep(10_000) }
        }

        func end() {
            // Asked to end, it waits for its client.
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
        }

        deinit {
            end()
            try? FileManager.default.removeItem(atPath: folder)
        }
    }

    private func makeHarness(_ daemon: Daemon) throws -> (DeviceHarness, VhostUserBlockDevice) {
        let device = try VhostUserBlockDevice(
            try VhostUserConnection(path: daemon.socket), isWriteback: true, loop: try DeviceHarness.makeLoop())
        return (try DeviceHarness(device, memory: try GuestMemory(totalBytes: 8 << 20)), device)
    }

    /// One request; its data and status.
    private func request(
        _ harness: DeviceHarness, _ operation: UInt32, sector: UInt64, _ data: MockBuffer
    ) -> [UInt8]? {
        harness.drivers[0].wishInterrupt()
        harness.drivers[0].add([.readable(BlockHarness.header(operation, sector: sector)), data, .writable(1)])
        // As KVM does it: nobody here sees the doorbell.
        harness.transport.doorbells[0].event.signal()
        return harness.awaitUsed()?.contents
    }

    @Test func `a driver reads and writes through it, before a reset and after one`() throws {
        let daemon = try Daemon()
        let (harness, device) = try makeHarness(daemon)
        #expect(harness.read(0x100) == 2048)
        for round in 0..<3 as Range<UInt8> {
            #expect(harness.start())
            let sector = [UInt8](repeating: 10 + round, count: 512)
            #expect(request(harness, 1, sector: 5, .readable(sector)) == [0])
            #expect(request(harness, 0, sector: 5, .writable(512)) == sector + [0])
            #expect(request(harness, 0, sector: 6, .writable(512)) == [UInt8](repeating: 7, count: 512) + [0])
            #expect(harness.takeInterrupt() && harness.read(0x60) == 1)
            harness.write(0x70, 0)
            #expect(harness.status == 0 && harness.read(0x60) == 0)
            let bytes = try Data(contentsOf: URL(filePath: daemon.disk))
            #expect(bytes[2560..<3072].allSatisfy { $0 == 10 + round } && bytes[3072] == 7)
        }
        #expect(device.metrics.losses.value == 0)
    }

    @Test func `a disk that nobody may write is offered so`() throws {
        let daemon = try Daemon(isReadOnly: true)
        let (harness, _) = try makeHarness(daemon)
        #expect(harness.offeredFeatures & 1 << 5 != 0 && harness.start())
        #expect(request(harness, 0, sector: 5, .writable(512)) == [UInt8](repeating: 7, count: 512) + [0])
    }

    @Test func `when it ends, the driver is told, and the drive does not come back`() throws {
        let daemon = try Daemon()
        let (harness, device) = try makeHarness(daemon)
        #expect(harness.start())
        try device.refresh()
        #expect(harness.read(0x60) & 2 != 0 && device.metrics.failedRefreshes.value == 0)
        daemon.end()
        harness.serve()
        #expect(harness.status & 64 != 0 && device.metrics.losses.value == 1)
        harness.write(0x70, 0)
        #expect(!harness.start())
    }
}
