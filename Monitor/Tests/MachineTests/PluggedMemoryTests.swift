import BootTestSupport
import Foundation
import GuestMemory
import LinuxCalls
import MachineConfiguration
import Snapshots
import Testing

@testable import Machine

private let isKVMThere = (try? open("/dev/kvm", .readWrite).release()) != nil
private let mayServe = (try? UserFault.make().release()) != nil

/// Snapshots of machines with plugged memory. Bare guests have no driver for it, so blocks are plugged in what was written down of
/// a machine that could have them; from there on all is as with any guest.
@Suite(.tags(.kvm), .serialized, .enabled(if: isKVMThere, "/dev/kvm is missing or may not be opened"))
struct PluggedMemoryTests {
    private final class Shelf {
        let path = NSTemporaryDirectory() + "plugged-\(UInt64.random(in: 0...UInt64.max))"

        init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false) }

        deinit { try? FileManager.default.removeItem(atPath: path) }

        var files: SnapshotFiles { files("state", "memory") }
        func files(_ state: String, _ memory: String) -> SnapshotFiles {
            SnapshotFiles(statePath: path + "/" + state, memoryPath: path + "/" + memory)
        }

        func write(_ state: MachineState) throws {
            try Data(state.encoded).write(to: URL(fileURLWithPath: path + "/state"))
        }
    }

    private static let base: UInt64 = 16 << 20
    private static let block: UInt64 = 2 << 20
    private static let plugged: UInt64 = 3 * block

    private func configured(_ configuration: VirtualMachineConfiguration) -> VirtualMachineConfiguration {
        var configuration = configuration
        configuration.pluggableMemory = .init(totalMebibytes: 256)
        return configuration
    }

    /// A guest that waits for a "q", then prints the first byte of the block 1 and writes a "w" behind it, and waits again; with the
    /// blocks 1, 2 and 65 plugged, which begin with "p", "r" and "s".
    private func snapshot() throws -> Shelf {
        let shelf = try Shelf()
        let guest = BareGuest().rememberAndEcho(0x4b).swapFirstBytes(at: 4 << 30 + Self.block).rememberAndEcho(0x4c)
        let kernel = try memoryFile(holding: guest.powerOff.image)
        let machine = try RunningMachine { configuration in
            var configuration = configured(configuration)
            configuration.bootSource.kernelImagePath = "/proc/self/fd/\(kernel.number)"
            return try Machine(configuration)
        }
        machine.wait(for: "ready\n")
        machine.machine.pause()
        _ = try shelf.files.write(machine.machine, configuration: [])
        machine.machine.requestEnd()
        #expect(machine.waitForEnd() == .requested)
        var state = try shelf.files.readState()
        #expect(state.devices.count == 1 && state.devices[0].own.count == 5)
        state.devices[0].own[0] = Self.plugged
        state.devices[0].own += [6, 2]
        try shelf.write(state)
        let memory = try open(shelf.path + "/memory", .readWrite)
        let end = Self.base + Self.plugged
        try changeLength(memory.number, lengthBytes: Self.base)
        try changeLength(memory.number, lengthBytes: end + 4096)
        for (index, letter) in "prs".utf8.enumerated() {
            try writeAll(memory.number, [letter], offset: Self.base + UInt64(index) * Self.block)
        }
        try writeAll(
            memory.number, MemoryImage.trailer(identifier: state.identifier, memoryBytes: end), offset: end)
        return shelf
    }

    private func clone(_ files: SnapshotFiles, isPaused: Bool = false) throws -> RunningMachine {
        let state = try files.readState()
        var image: MemoryImage? = try files.openMemory(of: state)
        return try RunningMachine {
            try Machine(configured($0), restoring: state, memory: image.take()!, isPaused: isPaused)
        }
    }

    /// What lies at the beginnings of the plugged blocks, in the file.
    private func blocks(_ files: SnapshotFiles) throws -> String {
        let file = try open(files.memoryPath, .readOnly)
        #expect(try fileSizeBytes(file.number) == Self.base + Self.plugged + 4096)
        return try (0..<3 as Range<UInt64>).map {
            let bytes = try readBytes(file.number, offset: Self.base + $0 * Self.block, count: 2)
            return String(decoding: bytes.filter { $0 != 0 }, as: UTF8.self)
        }.joined(separator: " ")
    }

    @Test func `a clone has what was plugged, changes it for itself, and is saved with it`() throws {
        let shelf = try snapshot()
        let guest = try clone(shelf.files)
        #expect(guest.machine.pluggedMebibytes?.plugged == 6 && guest.machine.pluggedMebibytes?.requested == 6)
        try guest.type("q")
        guest.wait(for: "qKpready\n")
        let live = shelf.files("live", "live-memory")
        _ = try live.writeLive(guest.machine, configuration: [])
        #expect(guest.machine.pluggedMebibytes?.plugged == 6)
        guest.machine.pause()
        let still = shelf.files("still", "still-memory")
        let written = try still.write(guest.machine, configuration: [])
        #expect(written < 1 << 20)
        try guest.machine.resume()
        try guest.type("q")
        #expect(guest.waitForEnd() == .poweredOff)
        #expect(guest.output == "qKpready\nqL")
        // The snapshot has not changed, the clone's have what it wrote.
        #expect(try blocks(shelf.files) == "p r s")
        for files in [live, still] {
            #expect(try blocks(files) == "pw r s")
            #expect(try files.readState().devices[0].own == shelf.files.readState().devices[0].own)
            let child = try clone(files)
            try child.type("q")
            #expect(child.waitForEnd() == .poweredOff)
            #expect(child.output == "qL")
        }
    }

    @Test func `a differential snapshot has nothing plugged, and is laid over none that has`() throws {
        var record = ChangeRecord(since: [1], hadPlugged: true)
        #expect(!record.isLayable)
        record.add([2], PageRuns())
        #expect(record.isLayable)
        record = ChangeRecord(since: [1])
        #expect(record.isLayable)
        let shelf = try snapshot()
        let state = try shelf.files.readState()
        let first = try clone(shelf.files, isPaused: true)
        let files = shelf.files("second", "second-memory")
        _ = try files.write(first.machine, configuration: [])
        #expect(try blocks(files) == "p r s")
        #expect(throws: MachineError.self) {
            try files.write(first.machine, .differential, configuration: [])
        }
        #expect {
            _ = try files.writeLive(first.machine, .differential, configuration: [])
        } throws: { "\($0)".contains("only full snapshots have") }
        try first.type("qq")
        #expect(first.waitForEnd() == .poweredOff)
        #expect(first.output == "qKpready\nqL")
        #expect(try files.readState().devices == state.devices)
    }

    @Test func `what does not fit together is refused before anything runs`() throws {
        let shelf = try snapshot()
        let state = try shelf.files.readState()
        func refusal(_ state: MachineState, total: UInt64 = 256) -> String {
            do {
                try shelf.write(state)
                let state = try shelf.files.readState()
                var image: MemoryImage? = try shelf.files.openMemory(of: state)
                let guest = try RunningMachine { configuration in
                    var configuration = configuration
                    if total > 0 { configuration.pluggableMemory = .init(totalMebibytes: total) }
                    return try Machine(configuration, restoring: state, memory: image.take()!, isPaused: true)
                }
                guest.machine.requestEnd()
                return "nothing"
            } catch { return "\(error)" }
        }
        #expect(refusal(state, total: 128).contains("figures are those of no device"))
        #expect(refusal(state, total: 0).contains("it has 1 virtio devices, and 0 are configured"))
        var wrong = state
        wrong.devices[0].own[5] = 14
        #expect(refusal(wrong).contains("it was cut off"))
        wrong.devices[0].own[5] = 2
        #expect(refusal(wrong).contains("not the one that was made with this state file"))
        wrong.devices[0].own.append(0)
        #expect(refusal(wrong).contains("the state file's device makes no sense"))
        wrong.devices[0].own.removeLast(3)
        #expect(refusal(wrong).contains("not the one that was made with this state file"))
        #expect {
            _ = try RunningMachine {
                try Machine(configured($0), restoring: state, memoryServedBy: "/nowhere", isPaused: false)
            }
        } throws: { "\($0)".contains("load its memory file") }
        #expect(refusal(state) == "nothing")
    }

    @Test(.enabled(if: mayServe, "userfaultfd may not be used"))
    func `plugged memory is checked before the guest runs`() throws {
        let shelf = try snapshot()
        let memory = try open(shelf.path + "/memory", .readWrite)
        let tree = try open(shelf.path + "/tree", [.readWrite, .create, .exclusive])
        let root = try MemoryTree.write(of: memory.number, to: tree.number).bytes
        func clone() throws -> RunningMachine {
            let state = try shelf.files.readState()
            let image = try shelf.files.openMemory(of: state, tree: shelf.path + "/tree", root: root)
            return try RunningMachine {
                try Machine(configured($0), restoring: state, checked: image, isPaused: false)
            }
        }
        let guest = try clone()
        try guest.type("qq")
        #expect(guest.waitForEnd() == .poweredOff)
        #expect(guest.output == "qKpready\nqL")
        // The last page of the last block, which was zeros.
        try writeAll(memory.number, [1], offset: Self.base + Self.plugged - 1)
        #expect {
            _ = try clone()
        } throws: { "\($0)".contains("the page at 0x15ff000 of the memory file is not what its root says") }
    }
}
