import AgentProtocol
import Foundation
import HostFiles
import MachineConfiguration
import OCIImages
import Testing

@testable import Fleet
@testable import ImageStore

/// Machines that had something attached when they were written down.
@Suite final class AttachedCloneTests {
    private let folder = NSTemporaryDirectory() + "attached-\(UInt64.random(in: 0...UInt64.max))"
    private let fleet: MachineFleet
    private let snapshots: SnapshotStore

    init() throws {
        let paths = ProductPaths(data: folder, runtime: folder + "/run", libexec: folder)
        fleet = MachineFleet(paths)
        snapshots = SnapshotStore(paths)
        try FileManager.default.createDirectory(atPath: folder + "/control", withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    private func file(_ name: String, _ letter: String) throws -> HostPath {
        let path = HostPath(folder).appending(name)
        try path.replaceWhole(Array(String(repeating: letter, count: 512).utf8))
        return path
    }

    /// Of a machine with a disk of its own, and a volume that it writes to, a disk that it reads and an interface attached.
    private func draft() throws -> SnapshotRecord {
        var specification = MachineSpecification()
        specification.image = "busybox"
        specification.command = ["sh"]
        specification.imageDiskPaths = ["/disk"]
        specification.disks = [.init(path: try file("standing", "s").description, isReadOnly: false)]
        specification.interfaces = [MachineInterface(.ownTap)]
        var volume = try VolumeAttachment(parsing: "photos:/srv/photos")
        volume.diskPath = try file("volume", "v").description
        return SnapshotRecord(
            id: "aaa111", name: "first", createdSeconds: 1, machineID: "abc", machineName: "web",
            specification: specification,
            disks: [SnapshotDisk(place: 0, sizeBytes: 512), SnapshotDisk(place: 1, sizeBytes: 512)],
            attachments: [
                DeviceAttachment(id: "attached0", device: .volume(volume), guestName: "vdc", slot: 0),
                DeviceAttachment(
                    id: "attached2",
                    device: .disk(.init(path: try file("read", "r").description, isReadOnly: true)), guestName: "vdd",
                    slot: 3),
                DeviceAttachment(
                    id: "attached1",
                    device: .interface(MachineInterface(.ownTap, hardwareAddress: "02:00:00:00:00:07")),
                    guestName: "eth1", slot: 2),
            ])
    }

    private func snapshot() throws -> SnapshotRecord {
        for name in ["state", "memory"] { _ = try file("control/" + name, "m") }
        for place in 0...1 { _ = try file("control/disk\(place)", "\(place)") }
        return try snapshots.take(try draft(), from: HostPath(folder).appending("control"))
    }

    private func code(_ body: () throws -> Void) -> FleetError.Code? {
        do { try body() } catch { return (error as? FleetError)?.code }
        return nil
    }

    @Test func `a clone has what was attached, with disks and addresses of its own`() throws {
        let snapshot = try #require(SnapshotRecord.read(from: snapshots.folder(try snapshot().id)))
        let clones = try (0..<2).map { _ in try fleet.makeClone(of: snapshot, CloneOptions()) }
        var addresses: Set<String> = []
        for clone in clones {
            let attachments = clone.record.clonedAttachments
            let own = clone.folder.appending("disk1")
            #expect(attachments[0].disk == .init(path: own.description, isReadOnly: false))
            #expect(try own.readWhole(limit: 1000).first == UInt8(ascii: "1"))
            #expect(attachments[1].disk?.path == folder + "/read" && attachments[1].disk?.isReadOnly == true)
            let interface = try #require(attachments[2].assignedInterface)
            #expect(interface.hardwareAddress != "02:00:00:00:00:07")
            #expect(interface.hardwareAddress != clone.record.interfaces[0].hardwareAddress)
            addresses.formUnion([
                interface.guestAddresses.first?.address ?? "", clone.record.interfaces[0].guestAddresses.first!.address,
            ])
            let told = try #require(clone.record.attachedInterfacesOfClone.first)
            #expect(told.name == "eth1" && told.newName.isEmpty && told.addresses.count == 1 && told.routes.isEmpty)
            #expect(told.hardwareAddress.count == 6)
        }
        #expect(addresses.count == 4)
    }

    @Test func `the monitor is told of each in its place`() throws {
        let clone = try fleet.makeClone(of: try snapshot(), CloneOptions())
        let point = try #require(clone.restorePoint)
        let again = try clone.attachAgain(point, isEmulated: true)
        #expect(again.locks.count == 2 && again.attachments.count == 3)
        let text = MonitorConfiguration(
            specification: clone.record.specification, interfaces: clone.record.interfaces, initrdPaths: [],
            socketPath: "/run/s", controlFolder: "/control", restored: (clone.folder.description, point),
            attached: again.attachments
        ).json
        let machine = try VirtualMachineConfiguration.parse(Array(text.utf8))
        #expect(machine.slotCount == 4 && machine.attached.map(\.slot) == [0, 3, 2])
        guard case .drive(let drive) = machine.attached[0].device, case .interface(let net) = machine.attached[2].device
        else {
            Issue.record("other devices than were attached")
            return
        }
        #expect(drive.id == "attached0" && !drive.isReadOnly && drive.cacheType == .writeback)
        #expect(net.id == "attached1" && net.hostAddress != nil && net.guestMAC != nil)
        // It is on record once the machine runs, and another cannot have its disk.
        try clone.update { $0.state = .running }
        #expect(fleet.store.attachments(of: clone.record) == again.attachments)
        withExtendedLifetime(again.locks) {}
        let disk = try #require(again.attachments[0].disk)
        #expect(code { _ = try self.fleet.hold([disk]) } == .unusableDisk)
    }

    @Test func `networks are given for what was attached, too`() throws {
        let snapshot = try snapshot()
        var options = CloneOptions()
        options.interfaces = [MachineInterface(.ownTap)]
        #expect(code { _ = try self.fleet.makeClone(of: snapshot, options) } == .invalidSetting)
        options.interfaces = [
            MachineInterface(.ownTap), MachineInterface(.bareTap, hardwareAddress: "02:00:00:00:00:09"),
        ]
        let clone = try fleet.makeClone(of: snapshot, options)
        let interface = try #require(clone.record.clonedAttachments[2].assignedInterface)
        #expect(interface.interface.network == .bareTap && interface.hardwareAddress == "02:00:00:00:00:09")
        #expect(clone.record.specification.interfaces.count == 1)
    }

    @Test func `a suspended machine keeps what was attached, and goes on only with the disks that it left`() throws {
        var draft = try draft()
        draft.attachments[2].networkNumber = 7
        let machine = try fleet.create(draft.specification, name: "web")
        try Suspension(of: draft.specification, with: draft.attachments, seconds: 1).write(to: machine.folder)
        machine.finish(exitStatus: nil, failure: "ended", isStopped: true)
        let point = try #require(machine.restorePoint)
        try machine.prepareDisks(for: point)
        #expect(fleet.store.suspendedAttachments(of: machine.record) == draft.attachments)
        var other = MachineSpecification()
        other.command = ["sh"]
        other.interfaces = [MachineInterface(.ownTap)]
        let taker = try fleet.create(other, name: "other")
        try taker.update { $0.networkNumbers = [7] }
        #expect(code { _ = try machine.attachAgain(point, isEmulated: true) } == .unusableNetwork)
        try taker.update { $0.networkNumbers = [8] }
        // The volume is not in this store.
        #expect(throws: FleetError.self) { _ = try machine.attachAgain(point, isEmulated: true) }
        _ = try file("volume", "x")
        #expect(code { try machine.prepareDisks(for: point) } == .diskChanged)
    }

    @Test func `what a newer version has written is refused, what an earlier one has is read`() throws {
        let record = try snapshot()
        let path = snapshots.folder(record.id).appending("snapshot.json")
        let text = String(decoding: try path.readWhole(limit: 1 << 20), as: UTF8.self)
        #expect(text.contains("\"format\":2"))
        try path.replaceWhole(Array(text.replacing("\"format\":2", with: "\"format\":3").utf8))
        let newer = try snapshots.find("first")
        #expect(throws: SnapshotError.self) { _ = try self.fleet.makeClone(of: newer, CloneOptions()) }
        #expect(throws: SnapshotError.self) { _ = try self.fleet.pack(newer) }
        #expect(fleet.store.list().isEmpty)
        let plain = SnapshotRecord(
            id: "b", name: "b", createdSeconds: 1, machineID: "a", machineName: "a", specification: record.specification
        )
        try plain.write(to: HostPath(folder))
        let old = String(
            decoding: try HostPath(folder).appending("snapshot.json").readWhole(limit: 1 << 20), as: UTF8.self)
        #expect(!old.contains("format") && !old.contains("attachment"))
        #expect(SnapshotRecord.read(from: HostPath(folder)) == plain && plain.attachments.isEmpty)
    }

    @Test func `what was attached is handed on, by what the guest knows of it`() throws {
        let record = try snapshot()
        let files = ["state", "memory", "disk0", "disk1", "disk2"].map { name in
            SnapshotDescription.File(
                name: name, sizeBytes: name == "memory" ? 256 << 20 + 4096 : 512, dataBytes: 512)
        }
        let description = SnapshotDescription(
            record, manifest: nil, files: files, memoryRoot: String(repeating: "c", count: 64))
        #expect(description.version == 2 && description.interfaceCount == 2)
        #expect(!String(decoding: description.encoded, as: UTF8.self).contains(folder))
        let read = try SnapshotDescription(parsing: description.encoded)
        #expect(read == description)
        let image = StoredImage(
            names: ["busybox"], digest: "sha256:" + String(repeating: "a", count: 64), diskPaths: ["/disk"], parts: [],
            diskDigest: "sha256:" + String(repeating: "b", count: 64), importedSeconds: 0,
            configuration: ImageConfiguration())
        let made = try read.record(
            id: "bbb", name: "second", image: image,
            interfaces: [MachineInterface(.ownTap), MachineInterface(.bareTap)], in: HostPath("/new"))
        #expect(made.disks.map(\.place) == [0, 1, 2] && made.specification.disks.count == 1)
        #expect(made.attachments.map(\.disk?.path) == ["/new/disk1", "/new/disk2", nil])
        #expect(made.attachments.map(\.slot) == [0, 3, 2] && made.attachments[2].interface?.network == .bareTap)
        for (field, value) in [
            ("slot", "4"), ("slot", "3"), ("id", "\"attached2\""), ("id", "\"attached01\""), ("id", "\"disk0\""),
            ("guestName", "\"a/b\""), ("guestName", "\"vdd\""), ("disk", "null"), ("interface", "{}"),
        ] {
            var object = try #require(
                JSONSerialization.jsonObject(with: Data(description.encoded)) as? [String: Any])
            var attached = try #require(object["attached"] as? [[String: Any]])
            attached[0][field] = try JSONSerialization.jsonObject(with: Data(value.utf8), options: .fragmentsAllowed)
            object["attached"] = attached
            let changed = try [UInt8](JSONSerialization.data(withJSONObject: object))
            #expect(throws: SnapshotError.self, "\(field) \(value)") { _ = try SnapshotDescription(parsing: changed) }
        }
        var object = try #require(JSONSerialization.jsonObject(with: Data(description.encoded)) as? [String: Any])
        object["version"] = 1
        let old = try [UInt8](JSONSerialization.data(withJSONObject: object))
        #expect(throws: SnapshotError.self) { _ = try SnapshotDescription(parsing: old) }
    }
}
