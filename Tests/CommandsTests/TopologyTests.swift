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

    @Test func `of one that has ended in a wire it is told what becomes of traffic`() {
        func traffic(isFailing: Bool?, isInLine: Bool?) -> WireDocument.Appliance {
            let entry = LineEntry(machine: "m", name: "ips", inside: 3, outside: 4, failsOpen: true, isBypassed: false)
            let member = WireState.Member(
                entry: entry, isRunning: false, isMissing: false, isFailing: isFailing, isInLine: isInLine)
            let wire = WireState(
                machine: "web", isRunning: true, interface: "eth0", addresses: [], network: "lan", members: [member],
                strangers: [])
            return WireDocument(wire).appliances[0]
        }
        #expect(traffic(isFailing: true, isInLine: false).words == "ips (ended, around)")
        #expect(traffic(isFailing: true, isInLine: true).words == "ips (ended, stopping)")
        #expect(traffic(isFailing: nil, isInLine: nil).words == "ips (ended)")
        #expect(traffic(isFailing: true, isInLine: true).state == "ended")
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
