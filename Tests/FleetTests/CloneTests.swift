import AgentProtocol
import Foundation
import HostFiles
import LinuxCalls
import Testing

@testable import Fleet

/// Machines and a snapshot in a folder of their own, removed afterwards.
private final class Scratch {
    let folder = NSTemporaryDirectory() + "clones-\(UInt64.random(in: 0...UInt64.max))"
    let fleet: MachineFleet
    let snapshots: SnapshotStore

    init() throws {
        let paths = ProductPaths(data: folder, runtime: folder + "/run", libexec: folder)
        fleet = MachineFleet(paths)
        snapshots = SnapshotStore(paths)
        try FileManager.default.createDirectory(atPath: folder + "/control", withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    func file(_ name: String, _ text: String) throws -> HostPath {
        let path = HostPath(folder).appending(name)
        try path.replaceWhole(Array(text.utf8))
        return path
    }

    func snapshot(
        disks: [SnapshotDisk] = [], _ change: (inout MachineSpecification) -> Void = { _ in }
    ) throws -> SnapshotRecord {
        _ = try file("control/state", "state")
        _ = try file("control/memory", "memory")
        for disk in disks { _ = try file("control/disk\(disk.place)", String(repeating: "d", count: 512)) }
        var specification = MachineSpecification()
        specification.image = "busybox"
        specification.command = ["sh"]
        change(&specification)
        let draft = SnapshotRecord(
            id: "aaa111", name: "first", createdSeconds: 1, machineID: "abc", machineName: "web",
            specification: specification, disks: disks)
        return try snapshots.take(draft, from: HostPath(folder).appending("control"))
    }

    func code(_ body: () throws -> Void) -> FleetError.Code? {
        do { try body() } catch { return (error as? FleetError)?.code }
        return nil
    }
}

@Suite struct CloneTests {
    @Test func `a clone has the snapshot's files, which may go, and is begun from them`() throws {
        let scratch = try Scratch()
        let machine = try scratch.fleet.makeClone(of: scratch.snapshot(), CloneOptions())
        try scratch.snapshots.remove("first")
        let point = try #require(machine.restorePoint)
        #expect(point.runsProgram && point.isClone)
        #expect(try machine.folder.appending(point.memory).readWhole(limit: 100) == Array("memory".utf8))
        #expect(machine.record.specification.origin?.name == "first")
        // Its memory belongs to its image.
        #expect(scratch.fleet.hindrance(to: machine.record)?.message.contains("clone of") == true)
    }

    @Test func `nothing that identifies a machine is the same in two`() throws {
        let scratch = try Scratch()
        let snapshot = try scratch.snapshot {
            $0.interfaces = [MachineInterface(.ownTap, hardwareAddress: "02:00:00:00:00:01")]
        }
        let clones = try (0..<20).map { _ in try scratch.fleet.makeClone(of: snapshot, CloneOptions()) }
        let records = clones.map(\.record)
        #expect(Set(records.map(\.name)).count == 20)
        #expect(Set(records.map(\.machineNumber)).count == 20)
        #expect(Set(records.map(\.contextIdentifier)).count == 20)
        #expect(Set(records.map { $0.interfaces[0].hardwareAddress }).count == 20)
        #expect(Set(records.map { $0.interfaces[0].guestAddresses.first?.address }).count == 20)
        for record in records {
            #expect(record.contextIdentifier > 2 && record.contextIdentifier < .max)
            let interface = try #require(record.guestInterfacesOfClone.first)
            #expect(interface.hardwareAddress.count == 6 && interface.addresses.count == 1)
        }
    }

    @Test func `disks that are written to are copied, the others stay, and all keep their places`() throws {
        let scratch = try Scratch()
        let shared = try scratch.file("shared", String(repeating: "s", count: 512))
        let written = try scratch.file("written", String(repeating: "w", count: 512))
        let snapshot = try scratch.snapshot(disks: [SnapshotDisk(place: 1, sizeBytes: 512)]) {
            $0.disks = [
                .init(path: shared.description, isReadOnly: true), .init(path: written.description, isReadOnly: false),
            ]
        }
        let machine = try scratch.fleet.makeClone(of: snapshot, CloneOptions())
        let disks = machine.record.specification.disks
        #expect(disks.map(\.isReadOnly) == [true, false])
        #expect(disks[0].path == shared.description)
        let own = HostPath(disks[1].path)
        #expect(try own.readWhole(limit: 1000) == Array(String(repeating: "d", count: 512).utf8))
        // What the clone wrote is not what another beginning of it finds.
        try own.replaceWhole(Array(String(repeating: "x", count: 512).utf8))
        try machine.prepareDisks(for: try #require(machine.restorePoint))
        #expect(try own.readWhole(limit: 1000) == Array(String(repeating: "d", count: 512).utf8))
    }

    @Test func `a copy has the holes of what it is a copy of, and its size`() throws {
        let scratch = try Scratch()
        let source = HostPath(scratch.folder).appending("sparse")
        let file = try HostFile(source, [.writeOnly, .create])
        try file.write(Array("middle".utf8), at: 3 << 20)
        try file.truncate(to: 64 << 20)
        let copy = try scratch.file("copy", "what was there before")
        try DiskCopy.copy(source, over: copy)
        let status = try copy.status()
        #expect(status.sizeBytes == 64 << 20 && status.allocatedBytes < 4 << 20)
        #expect(try HostFile(copy).nextData(from: 0).map { $0.contains(3 << 20) } == true)
        var bytes = [UInt8](repeating: 1, count: 6)
        _ = try HostFile(copy).read(6, at: 3 << 20, into: &bytes)
        #expect(bytes == Array("middle".utf8))
    }

    @Test func `a TAP device by name is one machine's alone`() throws {
        let scratch = try Scratch()
        let snapshot = try scratch.snapshot {
            $0.interfaces = [MachineInterface(.tap(name: "tap7", address: nil, gateway: nil), name: "inside")]
        }
        #expect(scratch.code { _ = try scratch.fleet.makeClone(of: snapshot, CloneOptions()) } == .unusableNetwork)
        var options = CloneOptions()
        options.interfaces = [MachineInterface(.ownTap)]
        let machine = try scratch.fleet.makeClone(of: snapshot, options)
        #expect(machine.record.interfaces[0].guestName == "inside")
        options.interfaces = []
        #expect(scratch.code { _ = try scratch.fleet.makeClone(of: snapshot, options) } == .invalidSetting)
        #expect(scratch.fleet.store.list().count == 1)
    }

    @Test func `a snapshot whose files are missing is told, and no machine is left`() throws {
        let scratch = try Scratch()
        let snapshot = try scratch.snapshot()
        try HostPath(scratch.snapshots.path(snapshot)).appending("memory").removeFile()
        #expect(throws: SnapshotError.self) { _ = try scratch.fleet.makeClone(of: snapshot, CloneOptions()) }
        #expect(scratch.fleet.store.list().isEmpty)
    }

    @Test func `a suspended machine goes on only with the disks that it left`() throws {
        let scratch = try Scratch()
        let disk = try scratch.file("disk", String(repeating: "a", count: 512))
        var specification = MachineSpecification()
        specification.command = ["sh"]
        specification.disks = [.init(path: disk.description, isReadOnly: false)]
        let machine = try scratch.fleet.create(specification, name: "web")
        try Suspension(of: specification, seconds: 1).write(to: machine.folder)
        machine.finish(exitStatus: nil, failure: "ended", isStopped: true)
        #expect(machine.record.state == .suspended && machine.record.failure == nil)
        let point = try #require(machine.restorePoint)
        #expect(!point.isClone)
        try machine.prepareDisks(for: point)
        try disk.replaceWhole(Array(String(repeating: "b", count: 512).utf8))
        #expect(scratch.code { try machine.prepareDisks(for: point) } == .diskChanged)
        #expect(scratch.fleet.hindrance(to: machine.record) != nil)
        Suspension.remove(from: machine.folder)
        #expect(machine.restorePoint == nil && scratch.fleet.hindrance(to: machine.record) == nil)
    }
}
