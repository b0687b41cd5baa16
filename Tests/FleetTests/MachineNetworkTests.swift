import AgentProtocol
import MachineConfiguration
import Testing

@testable import Fleet

@Suite struct MachineNetworkTests {
    @Test func `networks are read as people write them`() throws {
        #expect(try MachineInterface(parsing: "none") == .init(.none))
        #expect(try MachineInterface(parsing: "tap") == .init(.ownTap))
        #expect(try MachineInterface(parsing: "tap,address=none") == .init(.bareTap))
        #expect(try MachineInterface(parsing: "tap:tap0") == .init(.tap(name: "tap0", address: nil, gateway: nil)))
        #expect(
            try MachineInterface(parsing: "tap:tap0,address=10.0.0.2/24,gateway=10.0.0.1")
                == .init(
                    .tap(
                        name: "tap0", address: .init(IPAddress(v4: 10, 0, 0, 2), prefixLength: 24),
                        gateway: "10.0.0.1")))
        #expect(try MachineInterface(parsing: "wire,name=inside") == .init(.wire, name: "inside"))
        #expect(try MachineInterface(parsing: "lan") == .init(.fabric(network: "lan", addresses: [])))
        #expect(
            try MachineInterface(parsing: "lan,address=fd00::9,name=inside")
                == .init(
                    .fabric(
                        network: "lan",
                        addresses: [.init(try #require(IPAddress("fd00::9")), prefixLength: 128)]), name: "inside"))
        #expect(
            try MachineInterface(parsing: "tap,mac=52:54:00:AB:cd:01,name=inside,address=none")
                == .init(.bareTap, name: "inside", hardwareAddress: "52:54:00:ab:cd:01"))
    }

    @Test(arguments: [
        "", "tap:", "Nat", "wire,address=10.0.0.2", "wire,gateway=10.0.0.1",
        "wire:a", "lan,gateway=10.0.0.1", "lan,address=10.0.0.2/24", "lan,address=there",
        "none,address=10.0.0.2/24", "tap,address=10.0.0.2/24", "tap:a,", "tap:a,address=10.0.0.2",
        "tap:a,address=10.0.0.2/33", "tap:a,address=fd00::1/129", "tap:a,gateway=10.0.0.1", "tap:a,mtu=9000",
        "tap:a,address=10.0.0.2/24,gateway=there", "tap:a,address=none,gateway=10.0.0.1", "tap,name=", "tap,name=lo",
        "tap,name=eth1", "tap,name=a/b", "tap,name=0123456789abcdef", "tap,name=a,name=b", "tap,mac=52:54:00:12:34",
        "tap,mac=53:54:00:12:34:56", "tap,mac=00:00:00:00:00:00", "tap,mac=+2:54:00:12:34:56", "none,name=a",
    ])
    func `what is no network is told`(_ text: String) {
        #expect(throws: FleetError.self) { try MachineInterface(parsing: text) }
    }

    @Test(arguments: [
        ["none", "tap"], ["tap,name=a", "tap,name=a"], ["tap,mac=02:00:00:00:00:01", "tap,mac=02:00:00:00:00:01"],
        ["tap:a,address=10.0.0.2/24,gateway=10.0.0.1", "tap:b,address=10.0.1.2/24,gateway=10.0.1.1"],
        [String](repeating: "tap", count: 9),
    ])
    func `interfaces that contradict each other are told`(_ texts: [String]) throws {
        var specification = MachineSpecification()
        specification.interfaces = try MachineInterface.list(parsing: texts)
        #expect(throws: FleetError.self) { try specification.checkInterfaces() }
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

    @Test func `a machine in the fabric has its port, its addresses, and names from its network`() throws {
        var specification = MachineSpecification()
        specification.interfaces = [
            .init(.ownTap),
            .init(
                .fabric(
                    network: "lan",
                    addresses: [
                        .init(IPAddress(v4: 10, 190, 0, 7), prefixLength: 24),
                        .init(try #require(IPAddress("fd00::7")), prefixLength: 64),
                    ])),
        ]
        let record = record(specification, numbers: [1, 41])
        #expect(record.isInFabric && record.interfaces.map(\.hostDevice) == ["swiftlet1", "t42"])
        #expect(record.interfaces[1].portNumber == 42)
        let guest = record.guestInterfaces[1]
        #expect(guest.addresses.map(\.address.description) == ["10.190.0.7", "fd00::7"])
        // The first interface has the way out of IPv4.
        #expect(guest.routes.map(\.gateway?.description) == ["fd00::1"])
        #expect(record.nameServers.map(\.description) == ["10.190.0.1", "fd00::1"])
        #expect(record.searchDomains == ["lan.internal"])
    }

    @Test func `both sides of a machine's own network are told their address`() throws {
        var specification = MachineSpecification()
        specification.imageDiskPaths = ["/image"]
        specification.kernelPath = "/kernel"
        specification.interfaces = [.init(.ownTap)]
        let record = record(specification, numbers: [1])
        let monitor = try monitorInterfaces(record)
        #expect(monitor.map(\.hostDeviceName) == ["swiftlet1"])
        #expect(monitor.first?.hostAddress == .init([10, 191, 0, 5], prefixLength: 30))
        let guest = try #require(record.guestInterfaces.first)
        #expect(guest.addresses == [.init(IPAddress(v4: 10, 191, 0, 6), prefixLength: 30)])
        #expect(guest.routes.map(\.gateway) == [IPAddress(v4: 10, 191, 0, 5)])
    }

    @Test func `each interface has its name, its device and its address, and one the default route`() throws {
        var specification = MachineSpecification()
        specification.imageDiskPaths = ["/image"]
        specification.kernelPath = "/kernel"
        specification.interfaces = try [
            "tap,address=none,name=outside,mac=02:00:00:00:00:01", "tap:tap7,name=inside,address=10.0.0.1/24", "tap",
            "tap",
        ].map(MachineInterface.init(parsing:))
        let record = record(specification, numbers: [1, 2, 3])
        let monitor = try monitorInterfaces(record)
        #expect(monitor.map(\.hostDeviceName) == ["swiftlet1", "tap7", "swiftlet2", "swiftlet3"])
        #expect(monitor.map { $0.hostAddress != nil } == [false, false, true, true])
        #expect(monitor.first?.guestMAC == [2, 0, 0, 0, 0, 1])
        let guest = record.guestInterfaces
        #expect(guest.map(\.name) == ["eth0", "eth1", "eth2", "eth3"])
        #expect(guest.map(\.newName) == ["outside", "inside", "", ""])
        #expect(guest.map(\.addresses.count) == [0, 1, 1, 1])
        #expect(guest.map(\.routes.count) == [0, 0, 1, 0])
        #expect(record.hostGateway == IPAddress(v4: 10, 191, 0, 9))
    }

    @Test func `a guest whose address is its own affair is told none`() {
        var specification = MachineSpecification()
        specification.interfaces = [.init(.tap(name: "tap0", address: nil, gateway: nil))]
        #expect(record(specification, numbers: []).guestInterfaces.isEmpty)
    }

    @Test func `an interface has the same hardware address whenever its machine begins, and no other has it`() throws {
        var specification = MachineSpecification()
        specification.imageDiskPaths = ["/image"]
        specification.kernelPath = "/kernel"
        let given = MachineInterface(.bareTap, hardwareAddress: "02:00:00:00:00:01")
        specification.interfaces = [.init(.bareTap), .init(.ownTap), given]
        var seen: Set<String> = []
        for id in 0..<100 {
            var one = record(specification, numbers: [0, 1, 2])
            one.id = String(id, radix: 16)
            var again = one
            again.networkNumbers = [7, 8, 9]
            again.specification.image = "another"
            let addresses = one.interfaces.map(\.hardwareAddress)
            #expect(addresses == again.interfaces.map(\.hardwareAddress) && addresses[2] == "02:00:00:00:00:01")
            seen.formUnion(addresses.prefix(2))
            let monitor = try monitorInterfaces(one)
            // A station's, and nobody's but whoever set it.
            #expect(monitor.allSatisfy { ($0.guestMAC?.first ?? 0) & 3 == 2 })
        }
        #expect(seen.count == 200)
    }

    @Test(arguments: [Int.max, Int.min, 1 << 62])
    func `a network's number from a damaged record ends nobody`(number: Int) {
        var specification = MachineSpecification()
        specification.interfaces = [.init(.ownTap)]
        #expect(record(specification, numbers: [number]).guestInterfaces.count == 1)
    }

    private func record(_ specification: MachineSpecification, numbers: [Int]) -> MachineRecord {
        var record = MachineRecord(
            id: "0123", name: "a", specification: specification, createdSeconds: 0, socketPath: "/s")
        record.networkNumbers = numbers
        return record
    }

    private func monitorInterfaces(
        _ record: MachineRecord
    ) throws -> [VirtualMachineConfiguration.NetworkInterface] {
        let text = MonitorConfiguration(
            specification: record.specification, interfaces: record.interfaces, initrdPaths: ["/a.cpio"],
            socketPath: "/s"
        ).json
        return try VirtualMachineConfiguration.parse(Array(text.utf8)).networkInterfaces
    }

    @Test func `a TAP of this computer is refused where machines run elsewhere`() {
        #expect {
            try MachineFleet.check(.tap(name: "tap0", address: nil, gateway: nil), isEmulated: true)
        } throws: {
            ($0 as? FleetError)?.code == .unusableNetwork && "\($0)".contains("--network tap,")
        }
    }
}
