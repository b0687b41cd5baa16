import BootTestSupport
import Foundation
import GuestMemory
import LinuxCalls
import Machine
import MachineConfiguration
import Snapshots
import Synchronization
import Testing

private let mayKeep = (try? UserFault.make(UserFault.Feature.protection).release()) != nil
private final class Writes: Sendable { let count = Atomic<Int>(0) }

private let isKVMThere = (try? open("/dev/kvm", .readWrite).release()) != nil

/// Some pages more in the host's pool, while it lives.
private final class Pool {
    private static let path = "/proc/sys/vm/nr_hugepages"
    private let before: Int

    /// Nil where the host gives none, or this user may not ask.
    init?(pages: Int) {
        before = Self.total ?? 0
        guard Self.total != nil,
            (try? String(before + pages).write(toFile: Self.path, atomically: false, encoding: .utf8)) != nil
        else { return nil }
        // Those of a machine that has just ended come back when its last thread has.
        for _ in 0..<5000 where Self.free < pages { usleep(2000) }
        if Self.free < pages {
            try? String(before).write(toFile: Self.path, atomically: false, encoding: .utf8)
            return nil
        }
    }

    deinit { try? String(before).write(toFile: Self.path, atomically: false, encoding: .utf8) }

    private static var total: Int? {
        (try? String(contentsOfFile: path, encoding: .utf8)).flatMap {
            Int($0.trimmingCharacters(in: .whitespacesAndNewlines))
        }
    }

    /// Pages that nobody has and nobody has been promised.
    static var free: Int {
        let text = (try? String(contentsOfFile: "/proc/meminfo", encoding: .utf8)) ?? ""
        func number(_ name: String) -> Int {
            text.split(separator: "\n").first { $0.hasPrefix(name) }?.split(separator: " ").last.flatMap { Int($0) }
                ?? 0
        }
        return number("HugePages_Free:") - number("HugePages_Rsvd:")
    }

    static let isThere = Pool(pages: 2) != nil
}

@Suite(.tags(.kvm), .serialized, .enabled(if: isKVMThere, "/dev/kvm is missing or may not be opened"))
struct HugePageTests {
    private func machine(_ guest: BareGuest, mebibytes: UInt64 = 32) throws -> RunningMachine {
        let kernel = try memoryFile(holding: guest.image)
        return try RunningMachine { configuration in
            var configuration = configuration
            configuration.bootSource.kernelImagePath = "/proc/self/fd/\(kernel.number)"
            configuration.memoryMebibytes = mebibytes
            configuration.hasHugePages = true
            return try Machine(configuration)
        }
    }

    @Test(.enabled(if: Pool.isThere, "this host has no pool of huge pages, or this user may not fill it"))
    func `a guest's memory is of the pool, and is saved and gone on with`() throws {
        let pool = try #require(Pool(pages: 20))
        let free = Pool.free
        let guest = try machine(BareGuest().keepTyped.powerOff)
        guest.wait(for: "ready\n")
        #expect(Pool.free == free - 16)
        try guest.type("a")
        guest.wait(for: "ready\na")
        let path = NSTemporaryDirectory() + "huge-\(UInt64.random(in: 0...UInt64.max))"
        defer { for name in ["state", "memory"] { try? removeFile("\(path).\(name)") } }
        let files = SnapshotFiles(statePath: path + ".state", memoryPath: path + ".memory")
        guest.machine.pause()
        _ = try files.write(guest.machine, configuration: [])
        try guest.machine.resume()
        try guest.type("q")
        #expect(guest.waitForEnd() == .poweredOff)
        #expect(guest.output == "ready\naqa")
        let state = try files.readState()
        var image: MemoryImage? = try files.openMemory(of: state)
        let clone = try RunningMachine { configuration in
            var configuration = configuration
            configuration.memoryMebibytes = 32
            return try Machine(configuration, restoring: state, memory: image.take()!, isPaused: false)
        }
        try clone.type("q")
        #expect(clone.waitForEnd() == .poweredOff)
        #expect(clone.output == "qa")
        _ = pool
    }

    private func wait(_ isSo: () throws -> Bool) rethrows {
        for _ in 0..<15000 where try !isSo() { usleep(2000) }
    }

    @Test(
        .enabled(if: Pool.isThere, "this host has no pool of huge pages, or this user may not fill it"),
        .enabled(if: mayKeep, "this host's kernel cannot protect huge pages"))
    func `a machine that runs is saved, and its clones have huge pages from a file and from a handler`() throws {
        let pool = try #require(Pool(pages: 40))
        let path = NSTemporaryDirectory() + "huge-\(UInt64.random(in: 0...UInt64.max))"
        let files = SnapshotFiles(statePath: path + ".state", memoryPath: path + ".memory")
        defer { for name in ["state", "memory", "memory.pages"] { try? removeFile("\(path).\(name)") } }
        let guest = try machine(BareGuest().keepTyped.powerOff, mebibytes: 16)
        guest.wait(for: "ready\n")
        try guest.type("a")
        guest.wait(for: "ready\na")
        // What comes next is not in it; and the guest can be saved again.
        for kind in [SnapshotKind.full, .differential] {
            #expect(try files.writeLive(guest.machine, kind, configuration: []) < 30_000_000_000)
        }
        try guest.type("b")
        guest.wait(for: "ready\nab")
        try guest.type("q")
        #expect(guest.waitForEnd() == .poweredOff)
        #expect(guest.output == "ready\nabqab")
        let state = try files.readState()
        let bytes = try [UInt8](Data(contentsOf: URL(fileURLWithPath: path + ".memory")))
        func clone(_ make: (VirtualMachineConfiguration) throws -> Machine) throws -> RunningMachine {
            try RunningMachine { configuration in
                var configuration = configuration
                configuration.memoryMebibytes = 16
                configuration.hasHugePages = true
                return try make(configuration)
            }
        }
        let first = try clone {
            try Machine($0, restoring: state, memory: files.openMemory(of: state), isPaused: false)
        }
        try first.type("c")
        first.wait(for: "c")
        let touched = try first.machine.touchedPages().read
        #expect(touched.pageCount % 512 == 0 && touched.pageCount > 0 && touched.pageCount < 8 * 512)
        try files.writeWorkingSet(first.machine)
        _ = try files.writeLive(first.machine, configuration: [])
        try first.type("q")
        #expect(first.waitForEnd() == .poweredOff)
        #expect(first.output == "cqac")
        // Its snapshot is another one; so is what was touched.
        let second = try files.readState()
        let again = try clone {
            let machine = try Machine($0, restoring: second, memory: files.openMemory(of: second), isPaused: false)
            machine.workingSet = WorkingSet(
                read: {
                    var pages = PageRuns(); pages.append(.init(first: 700, count: 3000)); return pages
                }(),
                written: PageRuns())
            return machine
        }
        try wait { try again.machine.touchedPages().read.pageCount >= 7 * 512 }
        #expect(try again.machine.touchedPages().read.runs.contains { $0.count >= 7 * 512 })
        try again.type("q")
        #expect(again.waitForEnd() == .poweredOff)
        #expect(again.output == "qac")
        let handler = try Handler(memory: Array(bytes.prefix(16 << 20)))
        let third = try clone { try Machine($0, restoring: state, memoryServedBy: handler.path, isPaused: false) }
        try third.type("d")
        third.wait(for: "d")
        #expect(handler.answered > 0 && handler.answered < 8)
        #expect(handler.text.contains("\"page_size\":2097152"))
        _ = try files.writeLive(third.machine, configuration: [])
        #expect(handler.answered == 8)
        try third.type("q")
        #expect(third.waitForEnd() == .poweredOff)
        #expect(third.output == "dqad")
        _ = pool
    }

    @Test(
        .enabled(if: Pool.isThere, "this host has no pool of huge pages, or this user may not fill it"),
        .enabled(if: mayKeep, "userfaultfd may not be used"))
    func `a memory file that cannot be read any more ends the machine`() throws {
        let pool = try #require(Pool(pages: 20))
        let path = NSTemporaryDirectory() + "huge-\(UInt64.random(in: 0...UInt64.max))"
        let files = SnapshotFiles(statePath: path + ".state", memoryPath: path + ".memory")
        defer { for name in ["state", "memory"] { try? removeFile("\(path).\(name)") } }
        let guest = try machine(BareGuest().keepTyped.powerOff, mebibytes: 16)
        guest.wait(for: "ready\n")
        _ = try files.writeLive(guest.machine, configuration: [])
        try guest.type("q")
        #expect(guest.waitForEnd() == .poweredOff)
        let state = try files.readState()
        let told = Told()
        let clone = try RunningMachine { configuration in
            var configuration = configuration
            configuration.memoryMebibytes = 16
            configuration.hasHugePages = true
            let machine = try Machine(
                configuration, restoring: state, memory: files.openMemory(of: state), isPaused: false)
            let file = try open(path + ".memory", .readWrite)
            try changeLength(file.number, lengthBytes: 12 << 20)
            var pages = PageRuns()
            pages.append(.init(first: 3500, count: 1))
            machine.workingSet = WorkingSet(read: pages, written: PageRuns())
            told.end(machine)
            return machine
        }
        #expect(clone.waitForEnd() == .requested)
        #expect(told.text.contains("address"))
        _ = pool
    }

    @Test(
        .enabled(if: Pool.isThere, "this host has no pool of huge pages, or this user may not fill it"),
        .enabled(if: mayKeep, "this host's kernel cannot protect huge pages"))
    func `pages are kept as they were, and nothing is given back, until all are written`() throws {
        let pool = try #require(Pool(pages: 4))
        let memory = try GuestMemory(totalBytes: 8 << 20, hasHugePages: true)
        for page in 0..<4 as Range<UInt64> where page != 2 {
            try memory.store(page + 1, at: GuestAddress(page << 21 + 4096))
        }
        let descriptor = try UserFault.make(UserFault.Feature.protection)
        let file = try memoryFile(name: "kept", lengthBytes: 8 << 20)
        try memory.beginKeeping(descriptor.number)
        let writes = Writes()
        Thread.detachNewThread {
            for page in [3, 2, 0] as [UInt64] {
                try? memory.store(77 as UInt64, at: GuestAddress(page << 21 + 4096))
                writes.count.add(1, ordering: .releasing)
            }
        }
        #expect(try memory.discard(GuestAddress(0), lengthBytes: 2 << 20) == 0)
        usleep(20_000)
        #expect(writes.count.load(ordering: .acquiring) == 0)
        for wanted in [3, 2, 0] as [UInt64] {
            var found: UInt64?
            wait {
                let (addresses, count) = UserFault.faults(descriptor.number)
                if count > 0 { found = memory.hugePage(atHostAddress: addresses[0]) }
                return count > 0
            }
            #expect(found == wanted)
            try memory.writeHugePage(wanted, to: file.number)
            try memory.letWrite(wanted, descriptor.number)
        }
        wait { writes.count.load(ordering: .acquiring) == 3 }
        #expect(writes.count.load(ordering: .acquiring) == 3)
        try memory.writeHugePage(1, to: file.number)
        memory.endKeeping(descriptor.number)
        for page in 0..<4 as Range<UInt64> {
            let kept = try readBytes(file.number, offset: page << 21 + 4096, count: 1)
            #expect(kept == [page == 2 ? 0 : UInt8(page + 1)])
            #expect(try memory.load(UInt64.self, at: GuestAddress(page << 21 + 4096)) == (page == 1 ? 2 : 77))
        }
        #expect(try memory.discard(GuestAddress(0), lengthBytes: 2 << 20) == 2 << 20)
        _ = pool
    }

    @Test(
        .enabled(if: Pool.isThere, "this host has no pool of huge pages, or this user may not fill it"),
        .enabled(if: mayKeep, "userfaultfd may not be used"))
    func `what was given back does not come again from the snapshot`() throws {
        let pool = try #require(Pool(pages: 4))
        let image = try memoryFile(name: "image", lengthBytes: 8 << 20)
        for page in 0..<4 as Range<UInt64> { try writeAll(image.number, [UInt8(page) + 1], offset: page << 21) }
        let memory = try GuestMemory(placedBytes: 8 << 20, hasHugePages: true)
        let mapping = try Mapping(privately: image.number, lengthBytes: 8 << 20)
        let zeros = try Mapping(anonymousBytes: 2 << 20)
        try memory.placeHugePage(0, from: mapping.address, zeros: zeros.address)
        try memory.placeHugePage(1, from: mapping.address, zeros: zeros.address)
        #expect(try memory.load(UInt8.self, at: GuestAddress(2 << 20)) == 2)
        // One that was there, and one that never was.
        #expect(try memory.discard(GuestAddress(2 << 20), lengthBytes: 4 << 20) == 4 << 20)
        for page in 0..<4 as Range<UInt64> {
            try memory.placeHugePage(page, from: mapping.address, zeros: zeros.address)
        }
        #expect(
            try (0..<4 as Range<UInt64>).map { try memory.load(UInt8.self, at: GuestAddress($0 << 21)) } == [
                1, 0, 0, 4,
            ])
        _ = pool
    }

    @Test func `a pool that is too small is told before anything runs`() {
        do {
            // More than any pool of a machine that tests run on.
            let kernel = try memoryFile(holding: BareGuest().powerOff.image)
            _ = try RunningMachine { configuration in
                var configuration = configuration
                configuration.bootSource.kernelImagePath = "/proc/self/fd/\(kernel.number)"
                configuration.memoryMebibytes = 524_288
                configuration.hasHugePages = true
                return try Machine(configuration)
            }
            Issue.record("it was built")
        } catch {
            #expect("\(error)".hasPrefix("262144 huge pages of 2 MiB, of the host's pool (vm.nr_hugepages): "))
        }
    }

    @Test(.enabled(if: Pool.isThere, "this host has no pool of huge pages, or this user may not fill it"))
    func `whole pages are given back, parts of them are not`() throws {
        let pool = try #require(Pool(pages: 4))
        let memory = try GuestMemory(totalBytes: 8 << 20, hasHugePages: true)
        for place in stride(from: UInt64(0), to: 8 << 20, by: 1 << 20) {
            try memory.store(UInt64(7), at: GuestAddress(place))
        }
        #expect(try memory.discard(GuestAddress(4096), lengthBytes: 4096) == 0)
        #expect(try memory.discard(GuestAddress(1 << 20), lengthBytes: 4 << 20) == 2 << 20)
        #expect(try memory.load(UInt64.self, at: GuestAddress(1 << 20)) == 7)
        #expect(try memory.load(UInt64.self, at: GuestAddress(2 << 20)) == 0)
        #expect(try memory.load(UInt64.self, at: GuestAddress(3 << 20)) == 0)
        #expect(try memory.load(UInt64.self, at: GuestAddress(4 << 20)) == 7)
        let file = try memoryFile(holding: Array(repeating: 9, count: 6000))
        try memory.map(file: file.number, offset: 0, over: GuestAddress(6 << 20), lengthBytes: 8192)
        #expect(try memory.load(UInt64.self, at: GuestAddress(6 << 20)) == 0x0909_0909_0909_0909)
        #expect(throws: LinuxError.invalidArgument) { _ = try memory.freeze() }
        _ = pool
    }
}
