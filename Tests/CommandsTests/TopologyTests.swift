import FabricProtocol
import Foundation
import Networks
import Testing

@testable import Commands
@testable import Fleet

/// A network with two machines, of which ports lead to one.
@Suite final class TopologyTests {
    private let folder = NSTemporaryDirectory() + "topology-\(UInt64.random(in: 0...UInt64.max))"
    private let topology: Topology

    init() throws {
        let networks = NetworkStore(data: folder)
        try networks.create("lan", NetworkStore.Wish())
        func wire(_ machine: String, _ address: String, _ published: [String]) throws -> WireState {
            WireState(
                machine: machine, isRunning: true, interface: "eth0", addresses: [address], network: "lan", members: [],
                strangers: [], traffic: nil, published: try published.map { try PublishedPort(parsing: $0) })
        }
        topology = Topology(
            networks.list(),
            [
                try wire("web", "10.190.0.2", ["18080:80", "127.0.0.1:18081-18082:81-82", "15353:53/udp"]),
                try wire("client", "10.190.0.3", []),
            ])
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    @Test func `ports of this computer are drawn where they lead`() {
        #expect(
            topology.text.split(separator: "\n").dropFirst().map(String.init) == [
                "├─ client:eth0  10.190.0.3",
                "└─ web:eth0  10.190.0.2  ← 18080:80/tcp, 127.0.0.1:18081-18082:81-82/tcp, 15353:53/udp",
            ])
        #expect(TopologyPicture(topology).text.contains("← 18080:80/tcp, 127.0.0.1:18081-18082:81-82/tcp"))
    }

    @Test func `what is impaired between networks is drawn there`() {
        var impairment = WireImpairment()
        impairment.toNetwork.lossPercent = 1
        let passage = WireState(
            between: ["office", "dmz"], machine: "", isRunning: true, interface: "", addresses: [], network: "",
            members: [], strangers: [], impairment: impairment)
        let topology = Topology([], [passage])
        #expect(topology.text == "office ─ impaired ─ dmz")
        #expect(TopologyPicture(topology).text.contains(">impaired<"))
    }

    @Test func `programs are told them as elsewhere`() throws {
        let data = try JSONEncoder().encode(topology)
        let document = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        let network = try #require((document["networks"] as? [[String: Any]])?.first)
        let machines = try #require(network["machines"] as? [[String: Any]])
        #expect((machines[0]["publishedPorts"] as? [Any])?.isEmpty == true)
        let ports = try #require(machines[1]["publishedPorts"] as? [[String: Any]])
        #expect(ports.map { $0["port"] as? Int } == [18080, 18081, 15353])
        #expect(ports.map { $0["count"] as? Int } == [1, 2, 1] && ports[2]["transport"] as? String == "udp")
    }
}
