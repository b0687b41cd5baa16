import Archives
import FileTrees
import Foundation
import HostFiles
import OCIImages
import Testing
import VerityTree

@testable import Fleet
@testable import ImageStore

/// A snapshot in a folder of its own, removed afterwards.
private final class Scratch {
    let folder = NSTemporaryDirectory() + "transfer-\(UInt64.random(in: 0...UInt64.max))"
    let fleet: MachineFleet
    let snapshots: SnapshotStore
    let image = StoredImage(
        names: ["busybox"], digest: "sha256:" + String(repeating: "a", count: 64), diskPaths: ["/disk"], parts: [],
        diskDigest: "sha256:" + String(repeating: "b", count: 64), importedSeconds: 0,
        configuration: ImageConfiguration())

    init() throws {
        let paths = ProductPaths(data: folder, runtime: folder + "/run", libexec: folder)
        fleet = MachineFleet(paths)
        snapshots = SnapshotStore(paths)
        try FileManager.default.createDirectory(atPath: folder + "/control", withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    var path: HostPath { HostPath(folder) }

    func snapshot(_ change: (inout MachineSpecification) -> Void = { _ in }) throws -> SnapshotRecord {
        let control = path.appending("control")
        try control.appending("state").replaceWhole(Array("state".utf8))
        let memory = try HostFile(control.appending("memory"), [.readWrite, .create])
        try memory.write(Array("begins".utf8), at: 0)
        try memory.write([UInt8](repeating: 7, count: 9000), at: 10 << 20)
        try memory.truncate(to: 32 << 20 + 4096)
        try control.appending("disk0").replaceWhole([UInt8](repeating: 1, count: 512))
        var specification = MachineSpecification()
        specification.image = "busybox"
        specification.imageDigest = image.digest
        specification.command = ["sh"]
        specification.environment = ["A=1"]
        specification.memoryMebibytes = 32
        specification.disks = [.init(path: "/secret/place", isReadOnly: false)]
        specification.interfaces = [MachineInterface(.tap(name: "tap7", address: nil, gateway: nil), name: "inside")]
        specification.kernelPath = "/secret/kernel"
        specification.container.labels = ["secret": "label"]
        specification.container.hostEntries = [try ContainerSettings.HostAddress(parsing: "db:10.0.0.1")]
        specification.limits.cpuThousandths = 500
        specification.timeLimitSeconds = 7
        change(&specification)
        let draft = SnapshotRecord(
            id: "aaa111", name: "first", createdSeconds: 1, machineID: "abc", machineName: "web",
            specification: specification, disks: [SnapshotDisk(place: 0, sizeBytes: 512)])
        return try snapshots.take(draft, from: control)
    }

    func layout(_ packed: PackedSnapshot) throws -> OCILayout {
        let file = path.appending("packed.tar")
        try packed.write(to: file)
        let builder = TreeBuilder()
        let size = try file.status().sizeBytes
        try builder.add(
            ByteReader(FileByteSource(try HostFile(file), range: 0..<size)),
            content: .inPlace(ContentSource(try HostFile(file))), hasWhiteouts: false)
        return try OCILayout(builder.tree)
    }

    func code(_ body: () throws -> Void) -> SnapshotError.Code? {
        do { try body() } catch { return (error as? SnapshotError)?.code }
        return nil
    }
}

@Suite struct SnapshotTransferTests {
    @Test func `a snapshot comes out of its archive as it went in, holes and all`() throws {
        let scratch = try Scratch()
        let record = try scratch.snapshot()
        let layout = try scratch.layout(try scratch.fleet.pack(record))
        let incoming = try IncomingSnapshot(layout)
        #expect(incoming.description.files.map(\.name) == ["state", "memory", "disk0"])
        for (layer, file) in zip(incoming.layers, incoming.description.files) {
            let target = scratch.path.appending("out-\(file.name)")
            try SnapshotImport.unpack(
                FileContentSource(try layout.content(of: layer.blob)), layer, file, to: target)
            let original = scratch.snapshots.folder(record.id).appending(file.name)
            #expect(try target.readWhole(limit: 64 << 20) == original.readWhole(limit: 64 << 20))
            #expect(try target.status().allocatedBytes <= 1 << 20)
        }
    }

    @Test func `nothing of the computer goes along, and everything of the guest does`() throws {
        let scratch = try Scratch()
        let packed = try scratch.fleet.pack(try scratch.snapshot())
        let incoming = try IncomingSnapshot(try scratch.layout(packed))
        let text = String(decoding: incoming.description.encoded, as: UTF8.self)
        for word in ["secret", "tap", "imits"] { #expect(!text.contains(word)) }
        let folder = HostPath("/new")
        let made = try incoming.description.record(
            id: "bbb", name: "second", image: scratch.image, interfaces: [MachineInterface(.ownTap)], in: folder)
        let specification = made.specification
        #expect(specification.imageDiskPaths == ["/disk"] && specification.kernelPath.isEmpty)
        #expect(specification.disks == [.init(path: "/new/disk0", isReadOnly: false)])
        #expect(specification.interfaces == [MachineInterface(.ownTap, name: "inside")])
        #expect(specification.limits.isEmpty && specification.timeLimitSeconds == nil)
        #expect(specification.container.labels.isEmpty && specification.environment == ["A=1"])
        #expect(specification.container.hostEntries.map(\.name) == ["db"])
        #expect(made.disks == [SnapshotDisk(place: 0, sizeBytes: 512)] && made.runsProgram)
    }

    @Test func `the tree of a memory with holes is that of one without`() throws {
        let scratch = try Scratch()
        let memory = scratch.snapshots.folder(try scratch.snapshot().id).appending("memory")
        let bytes = try memory.readWhole(limit: 64 << 20).dropLast(4096)
        var writer = HashTreeWriter(dataBlocks: 8192)
        let tree = try HostFile.scratch(in: scratch.path)
        try writer.append(HashTreeWriter.digests(of: [UInt8](bytes).span), to: tree)
        let root = try writer.finish(tree)
        let written = scratch.path.appending("tree")
        #expect(try MemoryTree.write(of: memory, to: written) == root)
        var dense = [UInt8](repeating: 0, count: 1 << 20)
        let count = try tree.read(dense.count, at: 0, into: &dense)
        #expect(try written.readWhole(limit: 1 << 20) == Array(dense[..<count]))
    }

    @Test func `a template is nobody else's`() throws {
        let scratch = try Scratch()
        var record = try scratch.snapshot()
        record.runsProgram = false
        #expect(scratch.code { _ = try scratch.fleet.pack(record) } == .unsuitableMachine)
    }

    @Test(arguments: [
        ("version", "9", SnapshotError.Code.newerVersion), ("architecture", "\"s390x\"", .otherProcessor),
        ("processors", "0", .invalidFile), ("memoryMebibytes", "33", .invalidFile), ("disks", "[]", .invalidFile),
        ("name", "\"../first\"", .invalidName), ("machineName", "\"a b\"", .invalidName),
        ("kernel", "\"a\\u0000b\"", .invalidFile), ("files", "[]", .invalidFile), ("image", "7", .invalidFile),
        ("memoryRoot", "\"ab\"", .invalidFile),
    ])
    func `a description that cannot be is refused`(field: String, value: String, code: SnapshotError.Code) throws {
        let scratch = try Scratch()
        let description = SnapshotDescription(
            try scratch.snapshot(), manifest: nil,
            files: [
                .init(name: "state", sizeBytes: 5, dataBytes: 5),
                .init(name: "memory", sizeBytes: 32 << 20 + 4096, dataBytes: 0),
                .init(name: "disk0", sizeBytes: 512, dataBytes: 512),
            ], memoryRoot: String(repeating: "c", count: 64))
        #expect(try SnapshotDescription(parsing: description.encoded) == description)
        var object = try #require(
            JSONSerialization.jsonObject(with: Data(description.encoded)) as? [String: Any])
        object[field] = try JSONSerialization.jsonObject(with: Data(value.utf8), options: .fragmentsAllowed)
        let changed = try [UInt8](JSONSerialization.data(withJSONObject: object))
        #expect(scratch.code { _ = try SnapshotDescription(parsing: changed) } == code)
    }

    private func grown(_ scratch: Scratch, to maximum: Int?, plugged: Int) throws -> SnapshotDescription {
        SnapshotDescription(
            try scratch.snapshot { $0.memoryMaximumMebibytes = maximum }, manifest: nil,
            files: [
                .init(name: "state", sizeBytes: 5, dataBytes: 5),
                .init(name: "memory", sizeBytes: UInt64(32 + plugged) << 20 + 4096, dataBytes: 0),
                .init(name: "disk0", sizeBytes: 512, dataBytes: 512),
            ], memoryRoot: String(repeating: "c", count: 64))
    }

    @Test func `what had been plugged is told, and is what the machine is to keep`() throws {
        let scratch = try Scratch()
        let description = try grown(scratch, to: 128, plugged: 64)
        #expect(description.version == 3 && description.pluggedMebibytes == 64)
        #expect(try SnapshotDescription(parsing: description.encoded) == description)
        #expect(try grown(Scratch(), to: 128, plugged: 0).version == 1)
        let made = try description.record(
            id: "bbb", name: "second", image: scratch.image, interfaces: [MachineInterface(.ownTap)],
            in: HostPath("/new"))
        #expect(made.specification.limits.memoryMebibytes == 96)
        #expect(made.specification.pluggedMebibytes(made.specification.limits) == 64)
        // The place for it is whole slots; the machine's own limit is not.
        #expect(try SnapshotDescription(parsing: grown(Scratch(), to: 100, plugged: 128).encoded).version == 3)
    }

    @Test(arguments: [
        ("pluggedMebibytes", "63"), ("pluggedMebibytes", "0"), ("pluggedMebibytes", "-2"), ("pluggedMebibytes", "62"),
        ("pluggedMebibytes", "9223372036854775806"), ("memoryMaximumMebibytes", "9223372036854775807"),
        ("memoryMaximumMebibytes", "null"), ("memoryMaximumMebibytes", "-9223372036854775808"), ("version", "2"),
        ("memoryMebibytes", "-9223372036854775808"), ("pluggedMebibytes", "null"),
    ])
    func `what cannot have been plugged is refused`(field: String, value: String) throws {
        let scratch = try Scratch()
        var object = try #require(
            JSONSerialization.jsonObject(with: Data(try grown(scratch, to: 128, plugged: 64).encoded)) as? [String: Any]
        )
        object[field] = try JSONSerialization.jsonObject(with: Data(value.utf8), options: .fragmentsAllowed)
        let changed = try [UInt8](JSONSerialization.data(withJSONObject: object))
        #expect(scratch.code { _ = try SnapshotDescription(parsing: changed) } == .invalidFile)
    }

    @Test func `what a draft's process left that was killed goes, and what one holds stays`() throws {
        let scratch = try Scratch()
        let root = scratch.path.appending("snapshots")
        let held = try SnapshotDraft(scratch.snapshots)
        try root.appending(".new-killed").makeFolders()
        try root.appending(".new-killed").appending("lock").replaceWhole([])
        scratch.snapshots.removeLeftovers()
        #expect(!root.appending(".new-killed").exists && held.folder.exists)
    }

    @Test func `a state of another machine is told by what the monitor says`() throws {
        let scratch = try Scratch()
        let description = SnapshotDescription(try scratch.snapshot(), manifest: nil, files: [], memoryRoot: "")
        var answer = MonitorCheck.Answer(
            vcpu_count: 1, mem_size_mib: 32, plugged_size_mib: 0, devices: 6, console: true)
        try MonitorCheck.compare(answer, description)
        answer.plugged_size_mib = 2
        #expect(scratch.code { try MonitorCheck.compare(answer, description) } == .invalidFile)
        (answer.plugged_size_mib, answer.devices) = (0, 5)
        #expect(scratch.code { try MonitorCheck.compare(answer, description) } == .invalidFile)
    }
}

@Suite struct UnnamedFileTests {
    @Test func `a file gets its name when it is whole, in the place of another`() throws {
        let scratch = try Scratch()
        let target = scratch.path.appending("file")
        try target.replaceWhole(Array("old".utf8))
        let file = try HostFile(unnamedIn: scratch.path)
        try file.write(Array("new".utf8))
        #expect(try target.readWhole(limit: 10) == Array("old".utf8))
        try file.take(name: target)
        #expect(try target.readWhole(limit: 10) == Array("new".utf8))
        #expect(try Set(scratch.path.folderNames().map { String(decoding: $0, as: UTF8.self) }) == ["control", "file"])
    }
}
