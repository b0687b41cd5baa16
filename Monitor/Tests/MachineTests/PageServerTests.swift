import BootTestSupport
import Foundation
import LinuxCalls
import Machine
import MachineConfiguration
import Snapshots
import Testing

private let isKVMThere = (try? open("/dev/kvm", .readWrite).release()) != nil
private let mayServe = (try? UserFault.make().release()) != nil

/// A page fault handler as a client of Firecracker's would write it, on a thread of its own.
final class Handler: @unchecked Sendable {
    let path = NSTemporaryDirectory() + "handler-\(UInt64.random(in: 0...UInt64.max))"
    private let memory: [UInt8]
    /// How many faults it answers before it is silent.
    private let limit: Int
    private(set) var text = ""
    private(set) var answered = 0

    init(memory: [UInt8], limit: Int = .max) throws {
        self.memory = memory
        self.limit = limit
        let listener = try UnixSocket.listen(path).release()
        Thread.detachNewThread { [self] in
            while answered == 0, limit > 0 {
                guard let socket = try? UnixSocket.accept(listener) else {
                    usleep(1000)
                    continue
                }
                serve(socket)
            }
        }
    }

    deinit { try? removeFile(path) }

    private func serve(_ socket: consuming FileDescriptor) {
        try? setNonBlocking(socket.number, false)
        guard let first = try? receiveDescriptor(over: socket.number) else { return }
        var rest = [UInt8](repeating: 0, count: 4096)
        let count = (try? read(socket.number, over: &rest)) ?? 0
        text = String(decoding: [first.byte] + rest.prefix(count), as: UTF8.self)
        guard let regions = try? JSONSerialization.jsonObject(with: Data(text.utf8)) as? [[String: UInt64]],
            let region = regions.first, let base = region["base_host_virt_addr"], let offset = region["offset"],
            let pageBytes = region["page_size"], pageBytes == region["page_size_kib"]
        else { return }
        var message = [UInt8](repeating: 0, count: 32)
        while answered < limit {
            guard (try? read(first.descriptor.number, over: &message)) == 32 else {
                usleep(100)
                continue
            }
            // struct uffd_msg: the event (0x12 is a page fault), at 16 the address.
            guard message[0] == 0x12 else { continue }
            let address = message[16..<24].reversed().reduce(0) { $0 << 8 | UInt64($1) } & ~(pageBytes - 1)
            // SAFETY: the page lies in the snapshot's memory, and both live longer than the calls.
            unsafe memory.withUnsafeBytes { bytes in
                let source = unsafe bytes.baseAddress! + Int(offset + address - base)
                // struct uffdio_copy: to, from, length, mode, copied.
                var copy: [UInt64] = [address, UInt64(UInt(bitPattern: source)), pageBytes, 0, 0]
                unsafe copy.withUnsafeMutableBytes { copy in
                    _ = unsafe try? systemCall(
                        16, Int(first.descriptor.number), 0xc028_aa03, Int(bitPattern: copy.baseAddress))
                }
            }
            answered += 1
        }
    }
}

@Suite(
    .tags(.kvm), .serialized, .enabled(if: isKVMThere, "/dev/kvm is missing or may not be opened"),
    .enabled(if: mayServe, "userfaultfd may not be used"))
struct PageServerTests {
    private func snapshot() throws -> (MachineState, memory: [UInt8]) {
        let kernel = try memoryFile(holding: BareGuest().keepTyped.powerOff.image)
        let guest = try RunningMachine { configuration in
            var configuration = configuration
            configuration.bootSource.kernelImagePath = "/proc/self/fd/\(kernel.number)"
            return try Machine(configuration)
        }
        guest.wait(for: "ready\n")
        try guest.type("a")
        guest.wait(for: "ready\na")
        let files = try Files()
        guest.machine.pause()
        _ = try guest.machine.writeSnapshot(state: files.state.number, memory: files.memory.number)
        guest.machine.requestEnd()
        #expect(guest.waitForEnd() == .requested)
        return (try files.machineState(), try readBytes(files.memory.number, offset: 0, count: 16 << 20))
    }

    @Test func `a guest runs on pages that another process puts there, and only on those that it touches`() throws {
        let (state, memory) = try snapshot()
        let handler = try Handler(memory: memory)
        let clone = try RunningMachine {
            try Machine($0, restoring: state, memoryServedBy: handler.path, isPaused: false)
        }
        try clone.type("b")
        clone.wait(for: "b")
        // What changed is what was put there.
        let files = try Files()
        clone.machine.pause()
        _ = try clone.machine.writeSnapshot(.differential, state: files.state.number, memory: files.memory.number)
        try clone.machine.resume()
        let changes = try DifferentialImage(files.memory.duplicate())
        #expect(changes.parents == [state.identifier])
        #expect(changes.pages.pageCount == UInt64(handler.answered) && handler.answered > 2 && handler.answered < 64)
        try clone.type("q")
        #expect(clone.waitForEnd() == .poweredOff)
        #expect(clone.output == "bqab")
        #expect(handler.text.contains("\"size\":16777216") && handler.text.contains("\"page_size\":4096"))
    }

    @Test func `a machine whose pages never come can be ended`() throws {
        let (state, memory) = try snapshot()
        let handler = try Handler(memory: memory, limit: 1)
        let clone = try RunningMachine {
            try Machine($0, restoring: state, memoryServedBy: handler.path, isPaused: false)
        }
        usleep(100_000)
        clone.machine.requestEnd()
        #expect(clone.waitForEnd() != nil)
    }

    @Test func `a process that is not there is told before anything is made`() throws {
        let (state, _) = try snapshot()
        #expect {
            _ = try RunningMachine {
                try Machine($0, restoring: state, memoryServedBy: "/nowhere/handler", isPaused: false)
            }
        } throws: { "\($0)".contains("page fault handler's socket") }
    }

    @Test func `a clone has the pages of its working set before it asks`() throws {
        let folder = NSTemporaryDirectory() + "set-\(UInt64.random(in: 0...UInt64.max))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let (state, memory) = try snapshot()
        let files = SnapshotFiles(statePath: folder + "/state", memoryPath: folder + "/memory")
        try Data(
            memory + MemoryImage.trailer(identifier: state.identifier, memoryBytes: 16 << 20)
                + [UInt8](repeating: 0, count: 4096 - 48)
        ).write(to: URL(fileURLWithPath: files.memoryPath))
        func clone() throws -> RunningMachine {
            var image: MemoryImage? = try files.openMemory(of: state)
            return try RunningMachine {
                let machine = try Machine($0, restoring: state, memory: image.take()!, isPaused: false)
                machine.workingSet = files.readWorkingSet(of: state)
                return machine
            }
        }
        #expect(files.readWorkingSet(of: state) == nil)
        let first = try clone()
        try first.type("b")
        first.wait(for: "b")
        try files.writeWorkingSet(first.machine)
        let set = try #require(files.readWorkingSet(of: state))
        #expect(set.written.pageCount > 0 && set.written.pageCount < 64)
        try first.type("q")
        #expect(first.waitForEnd() == .poweredOff)

        let second = try clone()
        var isThere = false
        for _ in 0..<15000 where !isThere {
            let touched = try second.machine.touchedPages()
            isThere = touched.written.union(set.written) == touched.written
            usleep(2000)
        }
        #expect(isThere)
        try second.type("q")
        #expect(second.waitForEnd() == .poweredOff)
        #expect(second.output == "qa")
        // Another snapshot's is none.
        var other = state
        other.identifier[0] ^= 1
        #expect(files.readWorkingSet(of: other) == nil)
    }
}
