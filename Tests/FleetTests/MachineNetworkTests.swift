import AgentProtocol
import MachineConfiguration
import Testing

@testable import Fleet

@Suite struct MachineNetworkTests {
    @Test func `networks are read as people write them`() throws {
        #expect(try MachineNetwork(parsing: "none") == .none)
        #expect(try MachineNetwork(parsing: "tap") == .ownTap)
        #expect(try MachineNetwork(parsing: "tap:tap0") == .tap(name: "tap0", address: nil, gateway: nil))
        #expect(
            try MachineNetwork(parsing: "tap:tap0,address=10.0.0.2/24,gateway=10.0.0.1")
                == .tap(
                    name: "tap0", address: .init(IPAddress(v4: 10, 0, 0, 2), prefixLength: 24), gateway: "10.0.0.1"))
    }

    @Test(arguments: [
        "", "tap:", "nat", "none,address=10.0.0.2/24", "tap,address=10.0.0.2/24", "tap:a,", "tap:a,address=10.0.0.2",
        "tap:a,address=10.0.0.2/33", "tap:a,address=fd00::1/129", "tap:a,gateway=10.0.0.1", "tap:a,mtu=9000",
        "tap:a,address=10.0.0.2/24,gateway=there",
    ])
    func `what is no network is told`(_ text: String) {
        #expect(throws: FleetError.self) { try MachineNetwork(parsing: text) }
    }

    @Test func `networks of two do not overlap, and stay within their range`() {
        var seen: Set<String> = []
        for number in OwnNetwork.numbers {
            let network = OwnNetwork(number: number)
            #expect(network.host.address.hasPrefix("10.191.") && network.guest.address.hasPrefix("10.191."))
            #expect(network.deviceName.utf8.count <= 15)
            seen.insert(network.host.address)
            seen.insert(network.guest.address)
        }
        #expect(seen.count == OwnNetwork.numbers.count * 2)
        #expect(OwnNetwork(number: 64).guest.description == "10.191.1.2/30")
    }

    @Test func `both sides of a machine's own network are told their address`() throws {
        var specification = MachineSpecification()
        specification.imageDiskPaths = ["/image"]
        specification.kernelPath = "/kernel"
        specification.network = .ownTap
        var record = MachineRecord(
            id: "0123", name: "a", specification: specification, createdSeconds: 0, socketPath: "/s")
        record.networkNumber = 1
        let text = MonitorConfiguration(
            specification: specification, ownNetwork: record.ownNetwork, initrdPaths: ["/a.cpio"], socketPath: "/s"
        ).json
        let monitor = try VirtualMachineConfiguration.parse(Array(text.utf8)).networkInterfaces
        #expect(monitor.map(\.hostDeviceName) == ["swiftlet1"])
        #expect(monitor.first?.hostAddress == .init([10, 191, 0, 5], prefixLength: 30))
        let guest = try #require(record.guestInterfaces.first)
        #expect(guest.addresses == [.init(IPAddress(v4: 10, 191, 0, 6), prefixLength: 30)])
        #expect(guest.routes.map(\.gateway) == [IPAddress(v4: 10, 191, 0, 5)])
    }

    @Test func `a guest whose address is its own affair is told none`() {
        var specification = MachineSpecification()
        specification.network = .tap(name: "tap0", address: nil, gateway: nil)
        let record = MachineRecord(
            id: "0123", name: "a", specification: specification, createdSeconds: 0, socketPath: "/s")
        #expect(record.guestInterfaces.isEmpty)
    }

    @Test func `a TAP of this computer is refused where machines run elsewhere`() {
        #expect {
            try MachineFleet.check(.tap(name: "tap0", address: nil, gateway: nil), isEmulated: true)
        } throws: {
            ($0 as? FleetError)?.code == .unusableNetwork && "\($0)".contains("--network tap,")
        }
    }
}
