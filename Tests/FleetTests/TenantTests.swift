import FabricProtocol
import Foundation
import Networks
import Testing

@testable import Fleet

/// Machines and appliances that would bring networks of two tenants together.
@Suite final class TenantTests {
    private let folder = NSTemporaryDirectory() + "tenants-\(UInt64.random(in: 0...UInt64.max))"
    private let store: MachineStore

    init() throws {
        store = MachineStore(ProductPaths(data: folder, runtime: folder + "/run", libexec: folder))
        for (name, tenant) in [("one", "acme"), ("too", "acme"), ("two", "beta"), ("shared", nil)] {
            var wish = NetworkStore.Wish()
            wish.tenant = tenant
            try store.networks.create(name, wish)
        }
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    private func machine(_ networks: String...) throws -> MachineRecord {
        var specification = MachineSpecification()
        specification.command = ["sh"]
        specification.interfaces = try networks.map { try MachineInterface(parsing: $0) }
        return try store.create(specification, name: nil).record
    }

    @Test func `no machine is in networks of two tenants`() throws {
        _ = try machine("one", "too", "shared")
        let error = #expect(throws: FleetError.self) { try machine("one", "two") }
        #expect(error?.message.contains("of the tenant \"beta\"") == true, "\(String(describing: error))")
        #expect(store.list().count == 1)
    }

    @Test func `none comes into the second later`() throws {
        let record = try machine("shared", "one")
        let error = #expect(throws: FleetError.self) {
            try MachineRemote.connect(MachineInterface(parsing: "two"), to: record.id, in: store)
        }
        #expect(error?.message.contains("never meet") == true, "\(String(describing: error))")
        #expect(store.declaredInterfaces(of: record) == nil)
        _ = try MachineRemote.connect(MachineInterface(parsing: "too"), to: record.id, in: store)
        #expect(store.declaredInterfaces(of: record)?.interfaces.count == 3)
    }

    @Test func `nothing is put between two tenants`() throws {
        let lines = Lines(store: store, records: store.list())
        #expect(throws: FleetError.self) { _ = try lines.site(between: "one", and: "two") }
        _ = try lines.site(between: "one", and: "too")
        _ = try lines.site(between: "two", and: "shared")
    }
}
