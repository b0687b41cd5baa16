import AgentProtocol
import FabricProtocol
import Foundation
import Networks
import Testing

@testable import Fleet

/// Machines in networks that one of them leads out of.
@Suite final class LedNetworkTests {
    private let folder = NSTemporaryDirectory() + "led-\(UInt64.random(in: 0...UInt64.max))"
    private let store: MachineStore

    init() throws {
        store = MachineStore(ProductPaths(data: folder, runtime: folder + "/run", libexec: folder))
        var wish = NetworkStore.Wish()
        try store.networks.create("wan", wish)
        wish.prefixes = [try #require(NetworkPrefix("10.0.1.0/24"))]
        wish.gateways = [IPAddress(v4: 10, 0, 1, 1)]
        try store.networks.create("inside", wish)
        wish.gateways = []
        try store.networks.create("lone", wish)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    private func machine(_ networks: String..., isProgram: Bool = false) throws -> MachineRecord {
        var specification = MachineSpecification()
        specification.command = ["sh"]
        specification.interfaces = try networks.map { try MachineInterface(parsing: $0) }
        for place in specification.interfaces.indices where isProgram {
            specification.interfaces[place].isLeftToProgram = true
        }
        return try store.create(specification, name: nil).record
    }

    @Test func `its machines are told who leads out, and who does asks nobody there`() throws {
        let guarded = try machine("inside")
        #expect(guarded.guestInterfaces.map { $0.addresses.map(\.address.description) } == [["10.0.1.2"]])
        #expect(guarded.guestInterfaces[0].routes.map(\.gateway?.description) == ["10.0.1.1"])
        #expect(guarded.nameServers.map(\.description) == ["10.0.1.1"] && guarded.searchDomains.isEmpty)
        let leader = try machine("wan", "inside,address=10.0.1.1")
        #expect(
            leader.guestInterfaces.map { $0.addresses.map(\.address.description) } == [["10.190.0.2"], ["10.0.1.1"]])
        #expect(leader.guestInterfaces.map { $0.routes.map(\.gateway?.description) } == [["10.190.0.1"], []])
        #expect(leader.nameServers.map(\.description) == ["10.190.0.1"])
        #expect(leader.searchDomains == ["wan.internal"])
        let lone = try machine("lone")
        #expect(lone.guestInterfaces.map { $0.addresses.map(\.address.description) } == [["10.0.1.1"]])
        #expect(lone.guestInterfaces[0].routes.isEmpty && lone.nameServers.isEmpty)
    }

    @Test func `what a program gives its interfaces itself the agent does not`() throws {
        let leader = try machine("wan,name=outside", "inside,address=10.0.1.1", isProgram: true)
        #expect(leader.guestInterfaces.map(\.newName) == ["outside"])
        #expect(leader.guestInterfaces.allSatisfy { $0.addresses.isEmpty && $0.routes.isEmpty })
        // The fabric lets it send from there.
        let ports = try leader.fabricPorts(MachineLine(), of: leader.interfaces)
        #expect(ports.map { $0.addresses.map(\.description) } == [["10.190.0.2"], ["10.0.1.1"]])
    }

    @Test func `ports lead to where the fabric leads, and to who leads on`() throws {
        func published(_ networks: String...) throws -> MachineRecord {
            var specification = MachineSpecification()
            specification.command = ["sh"]
            specification.interfaces = try networks.map { try MachineInterface(parsing: $0) }
            specification.published = [try PublishedPort(parsing: "8080:80")]
            return try store.create(specification, name: nil).record
        }
        do {
            _ = try published("inside")
            Issue.record("a port leads into a network that a machine leads out of")
        } catch { #expect("\(error)".contains("whose gateway is a machine"), "\(error)") }
        #expect(store.list().isEmpty)
        let leader = try published("inside,address=10.0.1.1", "wan")
        let interface = try #require(store.publishedInterface(of: leader, leader.interfaces))
        #expect(interface.interface.interface.network.fabricNetwork == "wan" && interface.answers)
    }
}
