import BootTestSupport
import Foundation
import GuestMemory
import LinuxCalls
import Machine
import MachineConfiguration
import Snapshots
import Testing

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
    private func machine(_ guest: BareGuest) throws -> RunningMachine {
        let kernel = try memoryFile(holding: guest.image)
        return try RunningMachine { configuration in
            var configuration = configuration
            configuration.bootSource.kernelImagePath = "/proc/self/fd/\(kernel.number)"
            configuration.memoryMebibytes = 32
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
