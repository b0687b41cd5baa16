import BootTestSupport
import Foundation
import LinuxCalls
import Machine
import MachineConfiguration
import Snapshots
import Testing

private let isKVMThere = (try? open("/dev/kvm", .readWrite).release()) != nil

/// Snapshots in a folder, by their numbers.
private final class Shelf {
    let path = NSTemporaryDirectory() + "shelf-\(UInt64.random(in: 0...UInt64.max))"

    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false) }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    subscript(_ name: String) -> SnapshotFiles {
        SnapshotFiles(statePath: "\(path)/\(name).state", memoryPath: "\(path)/\(name).memory")
    }

    var names: Set<String> { Set((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []) }

    func changes(_ name: String) throws -> DifferentialImage {
        try DifferentialImage(open("\(path)/\(name).memory", .readOnly))
    }

    /// Lays snapshots over a copy of the first one's memory, which becomes the last one's.
    func merge(_ first: String, _ others: [String], into result: String) throws {
        let file = try open("\(path)/\(result).memory", [.readWrite, .create, .exclusive])
        let base = try open("\(path)/\(first).memory", .readOnly)
        try MemoryMerge.copy(base.number, to: file.number)
        for other in others { try MemoryMerge.lay(try changes(other), over: file.number) }
        let state = "\(path)/\(others.last ?? first).state"
        try FileManager.default.copyItem(atPath: state, toPath: "\(path)/\(result).state")
    }
}

@Suite(.tags(.kvm), .serialized, .enabled(if: isKVMThere, "/dev/kvm is missing or may not be opened"))
struct DifferentialSnapshotTests {
    private let shelf: Shelf

    init() throws { shelf = try Shelf() }

    private func booted(_ guest: BareGuest, isTracking: Bool) throws -> RunningMachine {
        let kernel = try memoryFile(holding: guest.image)
        let machine = try RunningMachine { configuration in
            var configuration = configuration
            configuration.bootSource.kernelImagePath = "/proc/self/fd/\(kernel.number)"
            configuration.isTrackingChanges = isTracking
            return try Machine(configuration)
        }
        machine.wait(for: "ready\n")
        return machine
    }

    private func clone(_ name: String) throws -> RunningMachine {
        let state = try shelf[name].readState()
        var image: MemoryImage? = try shelf[name].openMemory(of: state)
        return try RunningMachine { try Machine($0, restoring: state, memory: image.take()!, isPaused: false) }
    }

    private func save(_ guest: RunningMachine, _ name: String, _ kind: SnapshotKind) throws -> UInt64 {
        guest.machine.pause()
        let written = try shelf[name].write(guest.machine, kind, configuration: [])
        try guest.machine.resume()
        return written
    }

    private func end(_ guest: RunningMachine, says text: String) throws {
        try guest.type("q")
        #expect(guest.waitForEnd() == .poweredOff)
        #expect(guest.output == text)
    }

    @Test func `each differential snapshot has what changed since the one before, and a chain is merged`() throws {
        let guest = try booted(BareGuest().keepTyped.powerOff, isTracking: true)
        // The first has all there is, whatever was asked for.
        _ = try save(guest, "0", .differential)
        var text = "ready\n"
        for name in ["1", "2", "3"] {
            try guest.type(name)
            text += name
            guest.wait(for: text)
            _ = try save(guest, name, .differential)
            let changes = try shelf.changes(name)
            // One page that the guest has written, and few of those that the monitor has.
            #expect(changes.pages.runs.contains { $0.first <= 0x300 + UInt32(name)! - 1 })
            #expect(changes.pages.pageCount >= 1 && changes.pages.pageCount < 8)
            #expect(changes.parents.count == 1)
        }
        try end(guest, says: "ready\n123q123")

        try shelf.merge("0", ["1", "2", "3"], into: "whole")
        try end(try clone("whole"), says: "q123")
        try shelf.merge("0", ["1", "2"], into: "half")
        try end(try clone("half"), says: "q12")
        // A gap is seen, and so is the wrong order.
        for chain in [["2"], ["1", "3"], ["2", "1"], ["1", "1"]] {
            #expect(throws: SnapshotError.otherParent) { try shelf.merge("0", chain, into: "wrong") }
            try? removeFile("\(shelf.path)/wrong.memory")
        }
    }

    @Test func `a clone's snapshots are differential to the one that it was made from, and to each other`() throws {
        let guest = try booted(BareGuest().keepTyped.powerOff, isTracking: false)
        try guest.type("a")
        guest.wait(for: "ready\na")
        guest.machine.pause()
        _ = try shelf["base"].write(guest.machine, configuration: [])
        #expect(throws: MachineError.self) {
            _ = try shelf["none"].write(guest.machine, .differential, configuration: [])
        }
        #expect(shelf.names == ["base.state", "base.memory"])
        guest.machine.requestEnd()
        #expect(guest.waitForEnd() == .requested)

        let clone = try clone("base")
        try clone.type("b")
        clone.wait(for: "b")
        _ = try save(clone, "1", .differential)
        try clone.type("c")
        clone.wait(for: "bc")
        _ = try save(clone, "2", .differential)
        #expect(try shelf.changes("1").pages.pageCount < 16)
        try end(clone, says: "bcqabc")

        try shelf.merge("base", ["1"], into: "one")
        try end(try self.clone("one"), says: "qab")
        for chain in [["1", "2"], ["2"]] {
            let name = chain.joined()
            try shelf.merge("base", chain, into: "to\(name)")
            try end(try self.clone("to\(name)"), says: "qabc")
        }
        // Only what changed is no memory to begin with, and says so.
        let state = try shelf["1"].readState()
        #expect {
            _ = try shelf["1"].openMemory(of: state)
        } throws: { "\($0)".contains("merge the two first") }
    }

    @Test func `a differential snapshot in the place of its parent's memory is a full one`() throws {
        let guest = try booted(BareGuest().keepTyped.powerOff, isTracking: true)
        _ = try save(guest, "0", .full)
        try guest.type("x")
        guest.wait(for: "ready\nx")
        _ = try save(guest, "0", .differential)
        try end(try clone("0"), says: "qx")
        try end(guest, says: "ready\nxqx")
    }

    @Test func `a snapshot whose file cannot be made is no parent`() throws {
        let guest = try booted(BareGuest().keepTyped.powerOff, isTracking: true)
        _ = try save(guest, "0", .full)
        try FileManager.default.createDirectory(
            atPath: "\(shelf.path)/1.memory/full", withIntermediateDirectories: true)
        guest.machine.pause()
        #expect(throws: MachineError.self) {
            _ = try shelf["1"].write(guest.machine, .differential, configuration: [])
        }
        // What had changed is nowhere now; only a full one can follow.
        #expect(throws: MachineError.self) {
            _ = try shelf["2"].write(guest.machine, .differential, configuration: [])
        }
        _ = try shelf["2"].write(guest.machine, configuration: [])
        try guest.machine.resume()
        try guest.type("x")
        guest.wait(for: "ready\nx")
        _ = try save(guest, "3", .differential)
        try shelf.merge("2", ["3"], into: "whole")
        try end(try clone("whole"), says: "qx")
        try end(guest, says: "ready\nxqx")
    }

    /// The two numbers that `countInTwoPages` keeps.
    private func counters(_ name: String) throws -> (UInt32, UInt32) {
        let file = try open("\(shelf.path)/\(name).memory", .readOnly)
        func number(_ offset: UInt64) throws -> UInt32 {
            try readBytes(file.number, offset: offset, count: 4).reversed().reduce(0) { $0 << 8 | UInt32($1) }
        }
        return (try number(0x40_0000), try number(0x60_0000))
    }

    @Test func `a machine that writes all the time is saved as it was at one instant, and goes on`() throws {
        let guest = try booted(BareGuest().countInTwoPages.powerOff, isTracking: false)
        var last: UInt32 = 0
        // The first by pages kept aside, the others by a copy of the process.
        for name in ["0", "1", "2"] {
            usleep(20_000)
            _ = try shelf[name].writeLive(guest.machine, configuration: [])
            let (first, second) = try counters(name)
            #expect(first > last && (first == second || first == second + 1))
            last = first
        }
        usleep(20_000)
        _ = try shelf["3"].writeLive(guest.machine, .differential, configuration: [])
        try shelf.merge("2", ["3"], into: "whole")
        let (first, second) = try counters("whole")
        #expect(first > last && (first == second || first == second + 1))
        try guest.type("z")
        #expect(guest.waitForEnd() == .poweredOff)
        #expect(guest.output == "ready\nz")
        for name in ["0", "2", "whole"] {
            let clone = try clone(name)
            usleep(10_000)
            try clone.type("y")
            #expect(clone.waitForEnd() == .poweredOff)
            #expect(clone.output == "y")
        }
    }

    @Test func `without sight of the page table, full snapshots of all are made, and no differential one`() throws {
        let guest = try booted(BareGuest().keepTyped.powerOff, isTracking: true)
        guest.machine.seesPageTable = false
        for name in ["0", "1", "2"] { _ = try shelf[name].writeLive(guest.machine, configuration: []) }
        #expect(throws: MachineError.self) {
            _ = try shelf["3"].writeLive(guest.machine, .differential, configuration: [])
        }
        try end(guest, says: "ready\nq")
        let clone = try clone("2")
        clone.machine.seesPageTable = false
        try clone.type("x")
        clone.wait(for: "x")
        _ = try shelf["3"].writeLive(clone.machine, configuration: [])
        try clone.type("y")
        clone.wait(for: "xy")
        _ = try save(clone, "4", .full)
        // In the place of what it was made from, too.
        #expect(throws: MachineError.self) { _ = try save(clone, "2", .differential) }
        try clone.machine.resume()
        try end(clone, says: "xyqxy")
        try end(try self.clone("3"), says: "qx")
        try end(try self.clone("4"), says: "qxy")
    }

    @Test func `a live snapshot that finds no room leaves the machine running`() throws {
        let guest = try booted(BareGuest().keepTyped.powerOff, isTracking: false)
        let nowhere = SnapshotFiles(statePath: shelf.path + "/state", memoryPath: shelf.path + "/nowhere/memory")
        #expect(throws: MachineError.self) { _ = try nowhere.writeLive(guest.machine, configuration: []) }
        let full = try open("/dev/full", .readWrite)
        let state = try memoryFile(name: "state", lengthBytes: 0)
        for _ in 0..<2 {
            guest.machine.pause()
            var copy: SnapshotCopy? = try guest.machine.beginSnapshot(state: state.number, memory: full.number)
            try guest.machine.resume()
            #expect(throws: MachineError.self) { try guest.machine.finish(copy.take()!, memory: full.number) }
        }
        #expect(shelf.names.isEmpty)
        try end(guest, says: "ready\nq")
    }
}
