import BootTestSupport
import Foundation
import GuestMemory
import LinuxCalls
import Machine
import MachineConfiguration
import Snapshots
import Synchronization
import Testing

private let isKVMThere = (try? open("/dev/kvm", .readWrite).release()) != nil
private let mayServe = (try? UserFault.make().release()) != nil

@Suite(
    .tags(.kvm), .serialized, .enabled(if: isKVMThere, "/dev/kvm is missing or may not be opened"),
    .enabled(if: mayServe, "userfaultfd may not be used"))
struct CheckedMemoryTests {
    private final class Shelf {
        let path = NSTemporaryDirectory() + "checked-\(UInt64.random(in: 0...UInt64.max))"
        var root: [UInt8] = []

        init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false) }

        deinit { try? FileManager.default.removeItem(atPath: path) }

        var files: SnapshotFiles { SnapshotFiles(statePath: path + "/state", memoryPath: path + "/memory") }

        func image() throws -> CheckedImage {
            try files.openMemory(of: files.readState(), tree: path + "/tree", root: root)
        }

        func flip(at offset: UInt64) throws {
            let file = try open(path + "/memory", .readWrite)
            let byte = try readBytes(file.number, offset: offset, count: 1)[0]
            try writeAll(file.number, [byte ^ 1], offset: offset)
        }
    }

    /// A snapshot of a guest that echoes what is typed, with its tree.
    private func snapshot() throws -> Shelf {
        let shelf = try Shelf()
        let kernel = try memoryFile(holding: BareGuest().keepTyped.powerOff.image)
        let guest = try RunningMachine { configuration in
            var configuration = configuration
            configuration.bootSource.kernelImagePath = "/proc/self/fd/\(kernel.number)"
            return try Machine(configuration)
        }
        guest.wait(for: "ready\n")
        try guest.type("a")
        guest.wait(for: "ready\na")
        guest.machine.pause()
        _ = try shelf.files.write(guest.machine, configuration: [])
        guest.machine.requestEnd()
        #expect(guest.waitForEnd() == .requested)
        let memory = try open(shelf.path + "/memory", .readOnly)
        let tree = try open(shelf.path + "/tree", [.readWrite, .create, .exclusive])
        shelf.root = try MemoryTree.write(of: memory.number, to: tree.number).bytes
        return shelf
    }

    private func clone(_ shelf: Shelf, prepare: (Machine) -> Void = { _ in }) throws -> RunningMachine {
        let state = try shelf.files.readState()
        return try RunningMachine {
            let machine = try Machine($0, restoring: state, checked: shelf.image(), isPaused: false)
            prepare(machine)
            return machine
        }
    }

    @Test func `a guest runs on pages that are checked as it touches them`() throws {
        let shelf = try snapshot()
        let guest = try clone(shelf)
        try guest.type("b")
        guest.wait(for: "b")
        let touched = try guest.machine.touchedPages()
        #expect(touched.written.union(touched.read).pageCount < 64)
        try guest.type("q")
        #expect(guest.waitForEnd() == .poweredOff)
        #expect(guest.output == "bqab")
    }

    @Test func `it is saved with all its memory, standing still and running`() throws {
        let shelf = try snapshot()
        let guest = try clone(shelf)
        try guest.type("b")
        guest.wait(for: "b")
        for isLive in [false, true] {
            let files = SnapshotFiles(statePath: shelf.path + "/state2", memoryPath: shelf.path + "/memory2")
            if isLive {
                _ = try files.writeLive(guest.machine, configuration: [])
            } else {
                guest.machine.pause()
                _ = try files.write(guest.machine, configuration: [])
                try guest.machine.resume()
            }
            let state = try files.readState()
            var image: MemoryImage? = try files.openMemory(of: state)
            let child = try RunningMachine {
                try Machine($0, restoring: state, memory: image.take()!, isPaused: false)
            }
            try child.type("q")
            #expect(child.waitForEnd() == .poweredOff)
            #expect(child.output == "qab")
        }
        try guest.type("q")
        #expect(guest.waitForEnd() == .poweredOff)
    }

    @Test func `pages are there ahead, and are checked too`() throws {
        let shelf = try snapshot()
        var set = PageRuns()
        set.append(.init(first: 0x100, count: 0x200))
        let guest = try clone(shelf) { $0.workingSet = WorkingSet(read: set, written: PageRuns()) }
        var isThere = false
        for _ in 0..<15000 where !isThere {
            let touched = try guest.machine.touchedPages()
            let all = touched.written.union(touched.read)
            isThere = all.pageCount > 0x1f0 && all.union(set) == all
            usleep(2000)
        }
        try guest.type("q")
        #expect(guest.waitForEnd() == .poweredOff)
        #expect(guest.output == "qa")
        // Nobody but the one who is ahead comes there.
        try shelf.flip(at: 0x280 * 4096 + 99)
        let told = Told()
        let other = try clone(shelf) {
            $0.workingSet = WorkingSet(read: set, written: PageRuns())
            told.end($0)
        }
        #expect(other.waitForEnd() == .requested)
        #expect(told.text.contains("0x280000"))
    }

    @Test func `a page that is not right ends the machine, and its guest does not see it`() throws {
        let shelf = try snapshot()
        // Where the guest keeps what was typed: found by looking for it.
        let memory = try Data(contentsOf: URL(fileURLWithPath: shelf.path + "/memory"))
        for page in try touchedPages(shelf) where memory[page * 4096..<page * 4096 + 4096].contains(where: { $0 != 0 })
        {
            try shelf.flip(at: UInt64(page) * 4096 + 4095)
            defer { try? shelf.flip(at: UInt64(page) * 4096 + 4095) }
            let told = Told()
            do {
                let guest = try clone(shelf) { told.end($0) }
                try guest.type("b")
                try guest.type("q")
                #expect(guest.waitForEnd() == .requested)
                #expect(guest.output == "" || guest.output == "b")
                #expect(told.text.contains("0x" + String(page * 4096, radix: 16)))
            } catch {
                // Touched while the machine is built.
                #expect("\(error)".contains("0x" + String(page * 4096, radix: 16)))
            }
        }
    }

    private func touchedPages(_ shelf: Shelf) throws -> [Int] {
        let guest = try clone(shelf)
        try guest.type("b")
        guest.wait(for: "b")
        let touched = try guest.machine.touchedPages()
        try guest.type("q")
        #expect(guest.waitForEnd() == .poweredOff)
        return touched.written.union(touched.read).runs.flatMap { (Int($0.first)..<Int($0.first + $0.count)) }
    }

    @Test func `another root is refused before anything is made`() throws {
        let shelf = try snapshot()
        shelf.root[0] ^= 1
        #expect { _ = try clone(shelf) } throws: { "\($0)".contains("not the one of this root") }
    }
}

/// Ends a machine instead of the process when its memory is not right.
final class Told: Sendable {
    private let words = Mutex("")
    var text: String { words.withLock { $0 } }

    func end(_ machine: Machine) {
        machine.whenMemoryIsWrong = { [self, weak machine] error in
            words.withLock { if $0.isEmpty { $0 = "\(error)" } }
            machine?.requestEnd()
        }
    }
}
