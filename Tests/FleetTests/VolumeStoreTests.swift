import Foundation
import HostFiles
import Testing

@testable import Fleet

private let hasTools = FileManager.default.isExecutableFile(atPath: "/usr/sbin/mke2fs")

/// Volumes in a folder of their own, removed afterwards.
private final class Scratch {
    let folder = NSTemporaryDirectory() + "volumes-\(UInt64.random(in: 0...UInt64.max))"
    let store: VolumeStore

    init() throws {
        store = VolumeStore(ProductPaths(data: folder, runtime: folder, libexec: folder))
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    func code(_ body: () throws -> Void) -> VolumeError.Code? {
        do { try body() } catch { return (error as? VolumeError)?.code }
        return nil
    }
}

@Suite(.enabled(if: hasTools, "e2fsprogs is not installed")) struct VolumeStoreTests {
    @Test func `a volume is made whole and sparse, found, and removed`() throws {
        let scratch = try Scratch()
        let store = scratch.store
        try store.create("data", sizeBytes: 1 << 30, labels: ["a": "b"])
        #expect(store.list().map(\.name) == ["data"] && store.usedBytes("data") < 16 << 20)
        #expect(try store.find("data").labels == ["a": "b"] && !store.isInUse("data"))
        #expect(try store.check("data", repairs: false).isWhole)
        #expect(scratch.code { try store.create("data") } == .duplicateName)
        try store.markFilled("data")
        #expect(try store.find("data").isFilled)
        try store.remove("data")
        #expect(scratch.code { _ = try store.find("data") } == .unknown && store.list().isEmpty)
        #expect(try HostPath(scratch.folder + "/volumes").folderNames().isEmpty)
    }

    @Test func `names and sizes that cannot be are refused`() throws {
        let scratch = try Scratch()
        for name in ["", "..", "a/b", ".new-1-x", "a b"] {
            #expect(scratch.code { try scratch.store.create(name) } == .invalidSetting)
            #expect(scratch.code { _ = try scratch.store.find(name) } == .invalidSetting)
        }
        for size in [0, 1 << 20, 1 << 50] as [UInt64] {
            #expect(scratch.code { try scratch.store.create("data", sizeBytes: size) } == .invalidSetting)
        }
    }

    @Test func `one that is used is neither removed nor checked, and has one writer`() throws {
        let scratch = try Scratch()
        let store = scratch.store
        let fleet = MachineFleet(
            ProductPaths(data: scratch.folder, runtime: scratch.folder + "/run", libexec: scratch.folder))
        func machine(_ text: String) throws -> OwnedMachine {
            var specification = MachineSpecification()
            specification.command = ["true"]
            specification.container.volumes = [try store.prepare(try VolumeAttachment(parsing: text))]
            return try fleet.create(specification, name: nil)
        }
        do {
            let user = try machine("data:/data")
            #expect(store.isInUse("data"))
            #expect(scratch.code { try store.remove("data") } == .inUse)
            #expect(scratch.code { _ = try store.check("data", repairs: true) } == .inUse)
            let error = #expect(throws: FleetError.self) { try machine("data:/data:ro") }
            #expect(error?.message.contains(user.record.name) == true)
            user.abandon("the test is over")
        }
        let readers = [try machine("data:/data:ro"), try machine("data:/data:ro")]
        #expect(throws: FleetError.self) { try machine("data:/data") }
        for reader in readers { reader.abandon("the test is over") }
    }

    @Test func `what lies on a disk is looked at before a machine gets it`() throws {
        let scratch = try Scratch()
        let store = scratch.store
        // Large enough for a second copy of the superblock.
        try store.create("data", sizeBytes: 256 << 20)
        var attachment = try VolumeAttachment(parsing: "data:/data")
        try store.checkUsable(attachment)
        let disk = try HostFile(HostPath(store.disk("data")), [.readWrite])
        // s_feature_incompat with RECOVER, then s_state with errors, then no magic.
        var byte = [UInt8](repeating: 0, count: 1)
        _ = try disk.read(1, at: 1024 + 0x60, into: &byte)
        try disk.write([byte[0] | 4], at: 1024 + 0x60)
        try store.checkUsable(attachment)
        attachment.isReadOnly = true
        #expect(scratch.code { try store.checkUsable(attachment) } == .damaged)
        attachment.isReadOnly = false
        try disk.write([2], at: 1024 + 0x3a)
        #expect(scratch.code { try store.checkUsable(attachment) } == .damaged)
        try disk.write([0], at: 1024 + 0x38)
        #expect(scratch.code { try store.checkUsable(attachment) } == .damaged)
        #expect(try store.check("data", repairs: true).isWhole)
        try store.checkUsable(attachment)
    }

    @Test func `a volume without its record keeps its name, and goes by force`() throws {
        let scratch = try Scratch()
        let store = scratch.store
        try store.create("data", sizeBytes: 16 << 20)
        try HostPath(scratch.folder + "/volumes/data/volume.json").removeFile()
        #expect(scratch.code { _ = try store.find("data") } == .damaged)
        #expect(scratch.code { try store.create("data") } == .duplicateName)
        #expect(scratch.code { try store.remove("data") } == .damaged)
        try store.remove("data", force: true)
        #expect(scratch.code { _ = try store.find("data") } == .unknown)
    }

    @Test func `what was left half-made is cleared away`() throws {
        let scratch = try Scratch()
        let left = HostPath(scratch.folder + "/volumes/.new-999999999-data")
        try left.makeFolders()
        try HostFile(left.appending("disk.ext4"), [.writeOnly, .create]).write([1])
        try scratch.store.create("data", sizeBytes: 16 << 20)
        #expect(!left.exists && scratch.store.list().map(\.name) == ["data"])
    }
}
