import BootTestSupport
import Foundation
import KVMHost
import LinuxCalls
import Machine
import MachineConfiguration
import Snapshots
import Testing

private let isKVMThere = (try? open("/dev/kvm", .readWrite).release()) != nil

/// A machine on a thread of its own, with a pipe for what is typed.
final class RunningMachine: @unchecked Sendable {
    let machine: Machine
    private let console: Int32
    private let keyboard: Int32
    private let done = DispatchSemaphore(value: 0)
    private var end: MachineEnd?

    init(_ makeMachine: (VirtualMachineConfiguration) throws -> Machine) throws {
        var ends: [Int32] = [0, 0]
        // SAFETY: two descriptors fit.
        _ = unsafe pipe(&ends)
        keyboard = ends[1]
        console = try memoryFile(name: "console", lengthBytes: 0).release()
        var configuration = VirtualMachineConfiguration(
            bootSource: .init(kernelImagePath: "/nowhere"), virtualCPUCount: 1, memoryMebibytes: 16)
        configuration.console.inputDescriptor = ends[0]
        configuration.console.outputDescriptor = console
        machine = try makeMachine(configuration)
        Thread.detachNewThread { [self] in
            end = machine.run()
            done.signal()
        }
    }

    func type(_ text: String) throws { try writeAll(keyboard, text) }

    var output: String {
        (try? readBytes(console, offset: 0, count: 4096)).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    var bytes: [UInt8] { (try? readBytes(console, offset: 0, count: 4096)) ?? [] }

    func wait(for text: String) {
        for _ in 0..<12000 where output != text { usleep(5000) }
    }

    /// The end, or nil when there was none within ten seconds.
    func waitForEnd() -> MachineEnd? { done.wait(timeout: .now() + 10) == .success ? end : nil }
}

/// A snapshot in memory.
final class Files {
    let state: FileDescriptor
    let memory: FileDescriptor

    init() throws {
        state = try memoryFile(name: "state", lengthBytes: 0)
        memory = try memoryFile(name: "memory", lengthBytes: 0)
    }

    func machineState() throws -> MachineState {
        try MachineState(decoding: readBytes(state.number, offset: 0, count: SnapshotFormat.maximumBytes))
    }

    func image(_ state: MachineState) throws -> MemoryImage {
        try MemoryImage(
            memory.duplicate(), identifier: state.identifier, memoryBytes: state.memoryMebibytes << 20)
    }
}

@Suite(.tags(.kvm), .serialized, .enabled(if: isKVMThere, "/dev/kvm is missing or may not be opened"))
struct SnapshotTests {
    private func booted(_ guest: BareGuest) throws -> RunningMachine {
        let kernel = try memoryFile(holding: guest.image)
        return try RunningMachine { configuration in
            var configuration = configuration
            configuration.bootSource.kernelImagePath = "/proc/self/fd/\(kernel.number)"
            return try Machine(configuration)
        }
    }

    private func clone(_ files: Files, isPaused: Bool = false) throws -> RunningMachine {
        let state = try files.machineState()
        let image = try files.image(state)
        var taken: MemoryImage? = consume image
        return try RunningMachine { try Machine($0, restoring: state, memory: taken.take()!, isPaused: isPaused) }
    }

    @Test func `a paused guest stands still and goes on where it stood`() throws {
        let guest = try booted(BareGuest().rememberAndEcho(0x4b).powerOff)
        guest.wait(for: "ready\n")
        for _ in 0..<20 {
            guest.machine.pause()
            guest.machine.pause()
            try guest.machine.resume()
        }
        guest.machine.pause()
        try guest.type("a")
        usleep(50_000)
        #expect(guest.output == "ready\n")
        try guest.machine.resume()
        try guest.machine.resume()
        try guest.type("q")
        #expect(guest.waitForEnd() == .poweredOff)
        #expect(guest.output == "ready\naqK")
    }

    @Test func `control, alt and delete arrive with their interrupt, also in a clone that was saved before`() throws {
        let guest = try booted(BareGuest().echoKeys.powerOff)
        guest.wait(for: "ready\n")
        let files = try Files()
        guest.machine.pause()
        _ = try guest.machine.writeSnapshot(state: files.state.number, memory: files.memory.number)
        try guest.machine.resume()
        let clone = try clone(files)
        for (machine, before) in [(guest, "ready\n"), (clone, "")] {
            #expect(machine.machine.pressControlAltDelete())
            #expect(machine.waitForEnd() == .poweredOff)
            #expect(machine.bytes == Array(before.utf8) + [0x14, 0x11, 0xe0, 0x71])
        }
    }

    @Test func `a machine that stands still can be ended`() throws {
        let guest = try booted(BareGuest().rememberAndEcho(0x4b).powerOff)
        guest.wait(for: "ready\n")
        guest.machine.pause()
        guest.machine.requestEnd()
        #expect(guest.waitForEnd() == .requested)
    }

    @Test func `clones go on where the machine stood, each for itself, and so does the machine`() throws {
        let guest = try booted(BareGuest().rememberAndEcho(0x4b).powerOff)
        guest.wait(for: "ready\n")
        let files = try Files()
        guest.machine.pause()
        let written = try guest.machine.writeSnapshot(state: files.state.number, memory: files.memory.number)
        try guest.machine.resume()
        #expect(written > 0 && written < 1 << 20)
        for letter in ["b", "c"] {
            let clone = try clone(files)
            try clone.type("\(letter)q")
            #expect(clone.waitForEnd() == .poweredOff)
            #expect(clone.output == "\(letter)qK")
        }
        try guest.type("aq")
        #expect(guest.waitForEnd() == .poweredOff)
        #expect(guest.output == "ready\naqK")
    }

    @Test func `each clone has a generation of its own from its first instruction on`() throws {
        let guest = try booted(BareGuest().rememberAndEcho(0x4b).powerOff)
        guest.wait(for: "ready\n")
        var generations: [[UInt8]] = []
        /// Saves a machine, and takes down the 16 bytes that it finds where ACPI says, with their mark.
        func save(_ machine: RunningMachine) throws -> Files {
            let files = try Files()
            machine.machine.pause()
            _ = try machine.machine.writeSnapshot(state: files.state.number, memory: files.memory.number)
            let bytes = try readBytes(files.memory.number, offset: 0xf_f000, count: 32)
            generations.append(Array(bytes[..<16]))
            #expect(bytes[16...].elementsEqual("SWLT-GENERATION1".utf8))
            return files
        }
        let files = try save(guest)
        guest.machine.requestEnd()
        for _ in 0..<3 {
            let clone = try clone(files, isPaused: true)
            _ = try save(clone)
            try clone.machine.resume()
            try clone.type("q")
            #expect(clone.waitForEnd() == .poweredOff)
        }
        #expect(Set(generations).count == 4)
        // What is not marked is the guest's own.
        try writeAll(files.memory.number, [UInt8](repeating: 7, count: 32), offset: 0xf_f000)
        let older = try clone(files, isPaused: true)
        let kept = try Files()
        _ = try older.machine.writeSnapshot(state: kept.state.number, memory: kept.memory.number)
        #expect(try readBytes(kept.memory.number, offset: 0xf_f000, count: 32) == [UInt8](repeating: 7, count: 32))
        older.machine.requestEnd()
        #expect(older.waitForEnd() == .requested)
    }

    @Test func `a clone that begins paused waits for resume, and can be saved again`() throws {
        let guest = try booted(BareGuest().rememberAndEcho(0x4b).powerOff)
        guest.wait(for: "ready\n")
        let first = try Files()
        guest.machine.pause()
        _ = try guest.machine.writeSnapshot(state: first.state.number, memory: first.memory.number)
        guest.machine.requestEnd()
        #expect(guest.waitForEnd() == .requested)

        let clone = try clone(first, isPaused: true)
        try clone.type("b")
        usleep(50_000)
        #expect(clone.output == "")
        try clone.machine.resume()
        clone.wait(for: "b")
        let second = try Files()
        clone.machine.pause()
        _ = try clone.machine.writeSnapshot(state: second.state.number, memory: second.memory.number)
        clone.machine.requestEnd()
        #expect(clone.waitForEnd() == .requested)

        let grandchild = try self.clone(second)
        try grandchild.type("q")
        #expect(grandchild.waitForEnd() == .poweredOff)
        #expect(grandchild.output == "qK")
    }

    @Test func `a machine that runs is not saved`() throws {
        let guest = try booted(BareGuest().rememberAndEcho(0x4b).powerOff)
        guest.wait(for: "ready\n")
        let files = try Files()
        #expect(throws: MachineError.self) {
            try guest.machine.writeSnapshot(state: files.state.number, memory: files.memory.number)
        }
        try guest.type("q")
        #expect(guest.waitForEnd() == .poweredOff)
    }

    @Test func `files get their names when they are whole, and what had them stays with its clones`() throws {
        let folder = NSTemporaryDirectory() + "snapshot-\(UInt64.random(in: 0...UInt64.max))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let files = SnapshotFiles(statePath: folder + "/state", memoryPath: folder + "/memory")
        let guest = try booted(BareGuest().rememberAndEcho(0x4b).powerOff)
        guest.wait(for: "ready\n")
        guest.machine.pause()
        _ = try files.write(guest.machine, configuration: Array("{}".utf8))
        let state = try files.readState()
        #expect(state.configuration == Array("{}".utf8))
        var image: MemoryImage? = try files.openMemory(of: state)
        let clone = try RunningMachine { try Machine($0, restoring: state, memory: image.take()!, isPaused: false) }
        // Another snapshot in the same place.
        _ = try files.write(guest.machine, configuration: [])
        #expect(throws: MachineError.self) { _ = try files.openMemory(of: state) }
        try clone.type("q")
        #expect(clone.waitForEnd() == .poweredOff)
        #expect(clone.output == "qK")
        #expect(Set(try FileManager.default.contentsOfDirectory(atPath: folder)) == ["state", "memory"])

        let nowhere = SnapshotFiles(statePath: folder + "/state", memoryPath: folder + "/nowhere/memory")
        #expect(throws: MachineError.self) { try nowhere.write(guest.machine, configuration: []) }
        #expect(throws: MachineError.self) { _ = try nowhere.openMemory(of: state) }
        #expect(Set(try FileManager.default.contentsOfDirectory(atPath: folder)) == ["state", "memory"])
        try guest.machine.resume()
        try guest.type("q")
        #expect(guest.waitForEnd() == .poweredOff)
    }

    @Test func `below a folder, plain names are taken and nothing else`() throws {
        let folder = NSTemporaryDirectory() + "snapshot-\(UInt64.random(in: 0...UInt64.max))"
        try FileManager.default.createDirectory(atPath: folder + "/in", withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let opened = try open(folder + "/in", [.readOnly, .directory])
        let guest = try booted(BareGuest().rememberAndEcho(0x4b).powerOff)
        guest.wait(for: "ready\n")
        guest.machine.pause()
        for name in ["", ".", "..", "../state", "/state", "sub/state", String(repeating: "a", count: 300)] {
            let files = SnapshotFiles(statePath: name, memoryPath: "memory", in: opened.number)
            #expect(throws: MachineError.self) { try files.write(guest.machine, configuration: []) }
            #expect(throws: MachineError.self) { _ = try files.readState() }
        }
        let files = SnapshotFiles(statePath: "state", memoryPath: "memory", in: opened.number)
        _ = try files.write(guest.machine, configuration: [])
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["in"])
        #expect(Set(try FileManager.default.contentsOfDirectory(atPath: folder + "/in")) == ["state", "memory"])
        // What somebody puts in their place leads nowhere.
        try FileManager.default.moveItem(atPath: folder + "/in/state", toPath: folder + "/state")
        try FileManager.default.createSymbolicLink(atPath: folder + "/in/state", withDestinationPath: "../state")
        #expect(throws: MachineError.self) { _ = try files.readState() }
        try guest.machine.resume()
        try guest.type("q")
        #expect(guest.waitForEnd() == .poweredOff)
    }

    @Test func `a disk that is full ends the snapshot and not the machine`() throws {
        let guest = try booted(BareGuest().rememberAndEcho(0x4b).powerOff)
        guest.wait(for: "ready\n")
        guest.machine.pause()
        let full = try open("/dev/full", .readWrite)
        let memory = try memoryFile(name: "memory", lengthBytes: 0)
        #expect(throws: MachineError.self) {
            try guest.machine.writeSnapshot(state: full.number, memory: memory.number)
        }
        try guest.machine.resume()
        try guest.type("q")
        #expect(guest.waitForEnd() == .poweredOff)
        #expect(guest.output == "ready\nqK")
    }
}
