import BootTestSupport
import Foundation
import LinuxCalls
import MachineConfiguration
import Snapshots
import Testing

@testable import Machine

private let isKVMThere = (try? open("/dev/kvm", .readWrite).release()) != nil

/// Devices that come and go while a guest of a few instructions runs.
@Suite(.tags(.kvm), .serialized, .enabled(if: isKVMThere, "/dev/kvm is missing or may not be opened"))
struct AttachingTests {
    private static let fileName = "attached-in-tests"

    private func booted(_ guest: BareGuest, slots: Int = 2) throws -> RunningMachine {
        let kernel = try memoryFile(holding: guest.image)
        let running = try RunningMachine { configuration in
            var configuration = configuration
            configuration.bootSource.kernelImagePath = "/proc/self/fd/\(kernel.number)"
            configuration.slotCount = slots
            return try Machine(configuration)
        }
        running.wait(for: "ready\n")
        return running
    }

    private func drive(_ id: String, isReadOnly: Bool = false) -> VirtualMachineConfiguration.Drive {
        var drive = VirtualMachineConfiguration.Drive(id: id, pathOnHost: "/somewhere")
        drive.isReadOnly = isReadOnly
        return drive
    }

    private func disk() throws -> FileDescriptor { try memoryFile(name: Self.fileName, lengthBytes: 1 << 20) }

    /// How many descriptors of this process lead to a disk of these tests.
    private var openDisks: Int {
        ((try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []).count {
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)"))?
                .contains(Self.fileName) == true
        }
    }

    private func message(_ body: () throws(MachineError) -> Void) -> String {
        do throws(MachineError) { try body() } catch { return "\(error)" }
        return ""
    }

    @Test func `disks come to free places, and their files are closed when they go`() throws {
        let guest = try booted(BareGuest().rememberAndEcho(0x4b).powerOff)
        let machine = guest.machine
        #expect(try machine.attach(drive("a"), disk()) == 0)
        #expect(try machine.attach(drive("b", isReadOnly: true), disk()) == 1)
        #expect(openDisks == 2)
        #expect(
            message { () throws(MachineError) in _ = try machine.attach(drive("a"), try! disk()) }.contains("already"))
        #expect(
            message { () throws(MachineError) in _ = try machine.attach(drive("c"), try! disk()) }.contains(
                "all 2 places"))
        #expect(openDisks == 2)
        try machine.detach("a")
        #expect(openDisks == 1)
        #expect(message { () throws(MachineError) in try machine.detach("a") } == "no device \"a\" has been attached")
        #expect(try machine.attach(drive("c"), disk()) == 0)
        try machine.setLimits(ofDrive: "c", RateLimits(bytes: .init(size: 1000, refillMilliseconds: 100)))
        #expect(machine.count("block_c", "read_count") == 0)
        try guest.type("q")
        #expect(guest.waitForEnd() == .poweredOff)
    }

    @Test func `what cannot be a disk is refused, and closed`() throws {
        let guest = try booted(BareGuest().rememberAndEcho(0x4b).powerOff)
        let machine = guest.machine
        let path = "/tmp/\(Self.fileName)-\(ProcessInfo.processInfo.processIdentifier)"
        try Data(count: 4096).write(to: URL(filePath: path))
        defer { try? FileManager.default.removeItem(atPath: path) }
        for (file, isReadOnly, reason) in [
            (path, false, "bad file descriptor"), ("/dev/null", true, "invalid argument"),
            ("/", true, "is a directory"),
        ] {
            let said = message { () throws(MachineError) in
                _ = try machine.attach(drive("a", isReadOnly: isReadOnly), try! open(file, .readOnly))
            }
            #expect(said.contains(reason), "\(said)")
        }
        #expect(try machine.attach(drive("a", isReadOnly: true), open(path, .readOnly)) == 0)
        let interface = VirtualMachineConfiguration.NetworkInterface(id: "n", hostDeviceName: "tap")
        #expect(message { () throws(MachineError) in _ = try machine.attach(interface, try! disk()) }.contains("\"n\""))
        machine.pause()
        #expect(
            message { () throws(MachineError) in _ = try machine.attach(drive("b"), try! disk()) }.contains("paused"))
        try machine.resume()
        #expect(openDisks == 1)
        try guest.type("q")
        #expect(guest.waitForEnd() == .poweredOff)
    }

    @Test func `a machine without places takes nothing`() throws {
        let guest = try booted(BareGuest().rememberAndEcho(0x4b).powerOff, slots: 0)
        #expect(
            message { () throws(MachineError) in _ = try guest.machine.attach(drive("a"), try! disk()) }
                .contains("no places"))
        try guest.type("q")
        #expect(guest.waitForEnd() == .poweredOff)
    }

    @Test func `a guest that hammers on a place does not keep devices from coming and going`() throws {
        let window = UInt32(PlatformLayout.firstDeviceWindow)
        let guest = try booted(BareGuest().hammerRegisters(from: window, count: 80).powerOff, slots: 1)
        for round in 0..<60 {
            #expect(try guest.machine.attach(drive("a\(round)"), disk()) == 0)
            if round % 3 == 0 { usleep(3000) }
            if round % 7 == 0 {
                guest.machine.pause()
                try guest.machine.resume()
            }
            try guest.machine.detach("a\(round)")
        }
        #expect(openDisks == 0)
        #expect(try guest.machine.attach(drive("last"), disk()) == 0)
        try guest.type("q")
        #expect(guest.waitForEnd() == .poweredOff)
    }

    @Test func `a machine is saved with what was attached, in order, and goes on with it`() throws {
        let guest = try booted(BareGuest().rememberAndEcho(0x4b).powerOff)
        _ = try guest.machine.attach(drive("gone"), disk())
        _ = try guest.machine.attach(drive("a"), disk())
        try guest.machine.detach("gone")
        let files = try Files()
        guest.machine.pause()
        _ = try guest.machine.writeSnapshot(state: files.state.number, memory: files.memory.number)
        let state = try files.machineState()
        #expect(state.devices.map(\.kind) == [0, 2])
        let named = "/tmp/\(Self.fileName)-\(ProcessInfo.processInfo.processIdentifier)"
        try Data(count: 1 << 20).write(to: URL(filePath: named))
        defer { try? FileManager.default.removeItem(atPath: named) }
        func clone(_ attached: [VirtualMachineConfiguration.Attached]) throws -> RunningMachine {
            var image: MemoryImage? = try files.image(state)
            return try RunningMachine { configuration in
                var configuration = configuration
                configuration.attached = attached
                return try Machine(configuration, restoring: state, memory: image.take()!, isPaused: false)
            }
        }
        var drive = drive("a")
        drive.pathOnHost = named
        let other = try clone([.init(slot: 1, device: .drive(drive))])
        // The first place is as empty as it was.
        #expect(try other.machine.attach(self.drive("b"), disk()) == 0)
        try other.machine.detach("a")
        try other.type("q")
        #expect(other.waitForEnd() == .poweredOff)
        for wrong in [[], [VirtualMachineConfiguration.Attached(slot: 0, device: .drive(drive))]] {
            #expect(throws: MachineError.self) { try clone(wrong) }
        }
        try guest.machine.resume()
        try guest.type("q")
        #expect(guest.waitForEnd() == .poweredOff)
    }
}
