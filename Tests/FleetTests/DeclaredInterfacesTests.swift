import FabricProtocol
import Foundation
import HostFiles
import Networks
import Testing

@testable import Fleet

/// What a machine is to be in, beside what it began with.
@Suite final class DeclaredInterfacesTests {
    private let folder = NSTemporaryDirectory() + "declared-\(UInt64.random(in: 0...UInt64.max))"
    private let store: MachineStore

    init() throws {
        store = MachineStore(ProductPaths(data: folder, runtime: folder + "/run", libexec: folder))
        var wish = NetworkStore.Wish()
        for (name, subnet) in [("lan", "10.31.0.0/24"), ("tiny", "10.32.0.0/30")] {
            wish.prefixes = [try #require(NetworkPrefix(subnet))]
            try store.networks.create(name, wish)
        }
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    private func machine(_ networks: String...) throws -> OwnedMachine {
        var specification = MachineSpecification()
        specification.command = ["sh"]
        specification.interfaces = try networks.map { try MachineInterface(parsing: $0) }
        return try store.create(specification, name: nil)
    }

    @Test func `the fabric is told which names a machine finds, in the order of its networks`() throws {
        func told(_ networks: String...) throws -> [[String]] {
            var specification = MachineSpecification()
            specification.command = ["sh"]
            specification.interfaces = try networks.map { try MachineInterface(parsing: $0) }
            let record = try store.create(specification, name: nil).record
            return try record.fabricPorts(MachineLine(), of: record.interfaces).map(\.nameNetworks)
        }
        #expect(try told("lan") == [[]])
        #expect(try told("lan", "lan") == [[], []])
        #expect(try told("tiny", "wire", "lan") == [["tiny", "lan"], [], ["tiny", "lan"]])
    }

    private func networks(_ record: MachineRecord) -> [String?] {
        record.specification.interfaces.map(\.network.fabricNetwork)
    }

    @Test func `who does not run is put into networks and out of them`() throws {
        let owned = try machine("tap", "lan")
        owned.finish(exitStatus: 0, failure: nil)
        let id = owned.record.id
        let connected = try MachineRemote.connect(try MachineInterface(parsing: "tiny"), to: id, in: store)
        guard case .fabric("tiny", let addresses) = connected.network else {
            throw FleetError(.busy, "another network")
        }
        #expect(addresses.map(\.description) == ["10.32.0.2/30"])
        let record = try store.find(id)
        #expect(networks(record) == [nil, "lan", "tiny"])
        #expect(Set(record.networkNumbers).count == 3)
        #expect(Set(record.interfaces.map(\.hardwareAddress)).count == 3)
        #expect(store.machines(in: "tiny").map(\.id) == [id])
        #expect(throws: FleetError.self) {
            try MachineRemote.connect(try MachineInterface(parsing: "tiny"), to: id, in: self.store)
        }
        // The only address is taken.
        let other = try machine("tap")
        other.finish(exitStatus: 0, failure: nil)
        #expect(throws: FleetError.self) {
            try MachineRemote.connect(try MachineInterface(parsing: "tiny"), to: other.record.id, in: self.store)
        }
        #expect(networks(try store.find(other.record.id)) == [nil])
        try MachineRemote.disconnect("lan", from: id, in: store, isForced: false)
        let after = try store.find(id)
        #expect(networks(after) == [nil, "tiny"])
        #expect(after.networkNumbers == [record.networkNumbers[0], record.networkNumbers[2]])
        #expect(after.interfaces[1].hardwareAddress == connected.hardwareAddress)
        #expect(throws: FleetError.self) {
            try MachineRemote.disconnect("lan", from: id, in: self.store, isForced: true)
        }
        #expect(store.machines(in: "lan").isEmpty)
    }

    @Test func `what began otherwise is that until it begins again`() throws {
        let owned = try machine("lan")
        try owned.update { $0.state = .running }
        var declared = DeclaredInterfaces(owned.record)
        declared.remove("lan")
        try declared.write(to: owned.folder)
        let record = try store.find(owned.record.id)
        #expect(networks(record) == ["lan"])
        #expect(store.pluggedInterfaces(of: record).isEmpty)
        #expect(store.leftInterfaces(of: record).count == 1)
        #expect(store.machines(in: "lan").isEmpty)
        // Its device is still there for a monitor that goes on with it.
        try owned.takeDeclaredInterfaces()
        #expect(owned.record.specification.interfaces.isEmpty && owned.record.networkNumbers.isEmpty)
        #expect(store.leftInterfaces(of: owned.record).isEmpty)
    }

    @Test func `what is in a wire stays there, whatever else a machine is put into and taken out of`() throws {
        let owned = try machine("lan", "tiny")
        owned.finish(exitStatus: 0, failure: nil)
        var line = MachineLine()
        line.wires["tiny"] = [
            LineEntry(machine: "a", name: "wall", inside: 3, outside: 4, failsOpen: false, isBypassed: false)
        ]
        try line.write(to: owned.folder)
        try MachineRemote.disconnect("lan", from: owned.record.id, in: store, isForced: false)
        func walled(_ record: MachineRecord) throws -> [String?] {
            try record.fabricPorts(line, of: store.wiredInterfaces(of: record)).filter { !$0.line.isEmpty }.map(
                \.network)
        }
        var record = try store.find(owned.record.id)
        #expect(record.interfaces.map(\.guestName) == ["eth0"])
        #expect(try walled(record) == ["tiny"])
        _ = try MachineRemote.connect(try MachineInterface(parsing: "lan"), to: record.id, in: store)
        record = try store.find(record.id)
        #expect(try walled(record) == ["tiny"])
        let lines = Lines(store: store, records: [record])
        #expect(try lines.interface("\(record.name):eth1").interface.wire == "lan")
        #expect(try lines.interface("\(record.name):eth0").interface.wire == "tiny")
        #expect(throws: FleetError.self) {
            try MachineRemote.disconnect("tiny", from: record.id, in: self.store, isForced: false)
        }
    }

    @Test func `two interfaces in one network have a wire each`() throws {
        let owned = try machine("lan", "tap", "lan")
        #expect(owned.record.interfaces.map(\.wire) == ["lan", nil, "lan#2"])
        #expect(store.wiredInterfaces(of: owned.record).map(\.wire) == ["lan", "lan#2"])
    }

    @Test func `ports lead where a machine answers, and keep it in its last network`() throws {
        let owned = try machine("tap", "lan")
        let plugged = store.pluggedInterfaces(of: owned.record)
        let published = try #require(store.publishedInterface(of: owned.record, plugged))
        #expect(published.interface.guestName == "eth1" && !published.answers)
        let routed = try machine("lan", "tap")
        #expect(
            store.publishedInterface(of: routed.record, store.pluggedInterfaces(of: routed.record))?.answers == true)
        let port = try PublishedPort(parsing: "8080:80")
        try routed.update { $0.specification.published = [port] }
        routed.finish(exitStatus: 0, failure: nil)
        #expect(throws: FleetError.self) {
            try MachineRemote.disconnect("lan", from: routed.record.id, in: self.store, isForced: false)
        }
        try MachineRemote.setPublished(of: routed.record.id, in: store) { published, _ in published = [] }
        try MachineRemote.disconnect("lan", from: routed.record.id, in: store, isForced: false)
    }

    /// One that was connected while it ran.
    private func attached(_ text: String, _ number: Int, hasDefaultRoute: Bool? = nil) throws -> DeviceAttachment {
        var one = DeviceAttachment(
            id: "attached\(number)", device: .interface(try MachineInterface(parsing: text)),
            guestName: "eth\(number + 5)",
            slot: number)
        one.networkNumber = 40 + number
        one.hardwareAddress = "02:00:00:00:00:0\(number)"
        one.hasDefaultRoute = hasDefaultRoute
        if case .interface(var own) = one.device {
            try store.assignAddresses(to: &own, besides: [])
            one.device = .interface(own)
        }
        return one
    }

    /// Has a machine that runs be out of a network that it began with.
    private func leave(_ network: String, _ owned: OwnedMachine) throws {
        var declared = store.declaredInterfaces(of: owned.record) ?? DeclaredInterfaces(owned.record)
        declared.remove(network)
        try declared.write(to: owned.folder)
    }

    @Test func `who is out of what led elsewhere is led by what comes, and by what is left`() throws {
        let owned = try machine("lan")
        try owned.update { $0.state = .running }
        let record = owned.record
        #expect(store.hasDefaultRoute(record, []))
        let routes = DefaultRoutes(record, in: store)
        try leave("lan", owned)
        #expect(!store.hasDefaultRoute(record, []))
        #expect(store.routingInterface(of: record, []) == nil)
        // What came before leads from then on.
        var attachments = [try attached("tiny", 1)]
        let told = routes.taken(over: record, in: store, &attachments)
        #expect(told.map(\.interface.guestName) == ["eth6"] && told.first?.families == [.v4])
        #expect(attachments[0].hasDefaultRoute == true)
        #expect(store.hasDefaultRoute(record, attachments))
        #expect(store.routingInterface(of: record, attachments)?.guestName == "eth6")
        #expect(routes.taken(over: record, in: store, &attachments).count == 1)
    }

    @Test func `what a machine began with leads after what led`() throws {
        let owned = try machine("lan", "tiny")
        try owned.update { $0.state = .running }
        let routes = DefaultRoutes(owned.record, in: store)
        var none: [DeviceAttachment] = []
        #expect(routes.taken(over: owned.record, in: store, &none).isEmpty)
        try leave("lan", owned)
        #expect(routes.taken(over: owned.record, in: store, &none).map(\.interface.guestName) == ["eth1"])
        #expect(
            owned.record.nameServers(in: store.pluggedInterfaces(of: owned.record)).map(\.description) == ["10.32.0.1"])
        #expect(store.stayingInterfaces(of: owned.record).map(\.guestName) == ["eth1"])
        #expect(store.wiredInterfaces(of: owned.record).map(\.guestName) == ["eth1"])
    }

    @Test func `who is out of what it began with is not cloned`() throws {
        let owned = try machine("lan")
        try owned.update { $0.state = .running }
        try MachineRemote(owned.record, store: store).checkWhole()
        try leave("lan", owned)
        let remote = MachineRemote(owned.record, store: store)
        #expect(throws: SnapshotError.self) { try remote.checkWhole() }
        #expect(throws: SnapshotError.self) { try remote.makeSnapshot(nil) }
        #expect(store.list().count == 1)
    }

    @Test func `a clone has none of its original's ports, and its own address where something was attached`() throws {
        let owned = try machine("lan")
        var specification = owned.record.specification
        specification.published = [try PublishedPort(parsing: "8080:80")]
        #expect(specification.withoutProgram.published.isEmpty && specification.withoutIdentity.published.isEmpty)
        var clone = specification
        clone.origin = SnapshotOrigin(id: "aaa", name: "first", runsProgram: true, disks: [])
        clone.origin?.attachments = [
            DeviceAttachment(
                id: "attached0", device: .interface(try MachineInterface(parsing: "tiny")), guestName: "eth1", slot: 0)
        ]
        clone.interfaces = []
        clone.published = []
        let made = try store.create(clone, name: nil)
        let attached = try #require(made.record.clonedAttachments.first?.assignedInterface)
        #expect(attached.guestAddresses.map(\.address) == ["10.32.0.2"])
        #expect(attached.portNumber != nil)
    }
}
