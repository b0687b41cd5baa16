import AgentProtocol
import LinuxCalls
import Testing

@testable import Wiring

/// Each in a process of its own, so that nothing of the machine's network is touched.
@Suite(.enabled(if: mayMakeNamespaces, "\(namespacesTakeRoot)"))
struct LinksTests {
    @Test func `links are made, found, changed and removed, and what is there already is told`() async {
        await #expect(processExitsWith: .success) {
            _ = try TestNamespace()
            var links = try Links()
            try showOwnLinks()
            #expect(try links.find("br0") == nil)
            let address: [UInt8] = [2, 0, 0, 0, 0, 1]
            let bridge = try links.makeBridge("br0", hardwareAddress: address, maximumTransmissionUnit: 1400)
            var link = try #require(try links.find("br0"))
            #expect(link.index == bridge && link.name == "br0" && link.kind == "bridge" && link.master == 0)
            #expect(link.hardwareAddress == address && link.maximumTransmissionUnit == 1400 && !link.isUp)
            #expect(throws: LinuxError.exists) { try links.makeBridge("br0") }

            let first = try links.makePair("p1", peer: "q1", maximumTransmissionUnit: 1400)
            #expect(throws: LinuxError.exists) { try links.makePair("p2", peer: "q1") }
            #expect(try links.find("p2") == nil)
            let peer = try #require(try links.find("q1"))
            #expect(peer.kind == "veth" && peer.maximumTransmissionUnit == 1400 && !peer.hasCarrier)
            try links.set(peer.index, isUp: true, master: bridge)
            try links.set(first, isUp: true, maximumTransmissionUnit: 1300, hardwareAddress: [2, 0, 0, 0, 0, 9])
            try links.set(bridge, isUp: true)
            try links.setPort(peer.index, isIsolated: true, isHairpin: true)
            try awaitCarrier(of: ["p1"])
            link = try #require(try links.find("p1"))
            #expect(link.isUp && link.hasCarrier && link.maximumTransmissionUnit == 1300)
            #expect(link.hardwareAddress == [2, 0, 0, 0, 0, 9])
            #expect(try links.find("q1")?.master == bridge)
            #expect(try contents("/sys/class/net/q1/brport/isolated") == "1\n")
            #expect(try contents("/sys/class/net/q1/brport/hairpin_mode") == "1\n")
            #expect(try contents("/sys/class/net/br0/bridge/multicast_snooping") == "0\n")
            #expect(try contents("/sys/class/net/br0/bridge/stp_state") == "0\n")
            #expect(try contents("/sys/class/net/br0/bridge/forward_delay") == "0\n")
            try links.set(peer.index, master: 0)
            #expect(try links.find("q1")?.master == 0)

            let names = Set(try links.list().map(\.name))
            #expect(names.isSuperset(of: ["lo", "br0", "p1", "q1"]))
            try links.remove("p1")
            try links.remove("p1")
            #expect(try links.find("q1") == nil)
            for name in ["", "sixteen-bytes-xx", "a b", "a/b", "br%d", ".."] as [ByteString] {
                #expect(throws: LinuxError.invalidArgument) { try links.makeBridge(name) }
                #expect(try links.find(name) == nil)
            }
            #expect(throws: LinuxError.noDevice) { try links.set(4711, isUp: true) }
        }
    }

    @Test func `addresses and routes of both families are added, listed, replaced and removed`() async {
        await #expect(processExitsWith: .success) {
            _ = try TestNamespace()
            var links = try Links()
            let bridge = try links.makeBridge("br0")
            let other = try links.makeBridge("br1")
            try links.set(bridge, isUp: true)
            let addresses = [
                Interface.Address(IPAddress(v4: 10, 0, 0, 1), prefixLength: 24),
                Interface.Address(try #require(IPAddress("fd00::1")), prefixLength: 64),
            ]
            for address in addresses { try links.add(address, to: bridge) }
            #expect(throws: LinuxError.exists) { try links.add(addresses[0], to: bridge) }
            let listed = try links.addresses(of: bridge)
            #expect(addresses.allSatisfy(listed.contains))
            #expect(try links.addresses(of: other).isEmpty)

            let any = IPAddress(v4: 0, 0, 0, 0)
            let routes = [
                Route(.init(to: any, prefixLength: 0, via: IPAddress(v4: 10, 0, 0, 2)), link: bridge),
                Route(.init(to: IPAddress(v4: 10, 7, 0, 0), prefixLength: 16, via: nil), link: bridge),
                Route(
                    .init(to: try #require(IPAddress("fd07::")), prefixLength: 16, via: IPAddress("fd00::2")),
                    link: bridge),
            ]
            for route in routes { try links.add(route) }
            #expect(throws: LinuxError.exists) { try links.add(routes[0]) }
            var all = try links.routes()
            #expect(routes.allSatisfy(all.contains))
            let own = Interface.Route(to: IPAddress(v4: 10, 0, 0, 0), prefixLength: 24, via: nil)
            #expect(all.contains { $0.route == own && $0.isFromKernel })
            let replaced = Route(.init(to: any, prefixLength: 0, via: IPAddress(v4: 10, 0, 0, 3)), link: bridge)
            try links.replace(replaced)
            all = try links.routes()
            #expect(all.filter { $0.route.prefixLength == 0 && $0.link == bridge } == [replaced])
            for route in [replaced] + routes.dropFirst() {
                try links.remove(route)
                try links.remove(route)
            }
            all = try links.routes()
            #expect(!all.isEmpty && all.allSatisfy(\.isFromKernel))
            for address in addresses {
                try links.remove(address, from: bridge)
                try links.remove(address, from: bridge)
            }
            let left = try links.addresses(of: bridge)
            #expect(!left.contains(where: addresses.contains))
        }
    }

    @Test func `a TAP stays when its maker has let go of it, and its name is taken then`() async {
        await #expect(processExitsWith: .success) {
            _ = try TestNamespace()
            try showOwnLinks()
            try TapDevices.make("t1", owner: 4711)
            var links = try Links()
            let tap = try #require(try links.find("t1"))
            #expect(tap.kind == "tun" && !tap.isUp && !tap.hasCarrier)
            #expect(try contents("/sys/class/net/t1/owner") == "4711\n")
            // IFF_TAP, IFF_NO_PI, IFF_VNET_HDR, IFF_PERSIST
            #expect(try contents("/sys/class/net/t1/tun_flags") == "0x5802\n")
            #expect(throws: LinuxError.exists) { try TapDevices.make("t1", owner: nil) }
            try links.makePair("p1", peer: "q1")
            #expect(throws: LinuxError.exists) { try TapDevices.make("p1", owner: nil) }
            #expect(throws: LinuxError.invalidArgument) { try TapDevices.make("t%d", owner: nil) }
            try TapDevices.remove("t1")
            try TapDevices.remove("t1")
            #expect(try links.find("t1") == nil)
        }
    }

    @Test func `what happens to links is told in its order, and that something was lost`() async {
        await #expect(processExitsWith: .success) {
            _ = try TestNamespace()
            let events = try LinkEvents()
            #expect(try events.next() == [])
            var links = try Links()
            let bridge = try links.makeBridge("br0")
            let port = try links.makePair("p1", peer: "q1")
            try links.set(port, isUp: true, master: bridge)
            var told = try events.next()
            #expect(
                told.contains {
                    if case .changed(let link) = $0 {
                        link.index == port && link.isUp && !link.hasCarrier
                    } else {
                        false
                    }
                })
            // That it leaves the bridge is no end.
            try links.set(port, master: 0)
            told = try events.next()
            #expect(!told.isEmpty && !told.contains { if case .removed = $0 { true } else { false } })
            try links.set(try #require(try links.find("q1")).index, isUp: true)
            // The kernel tells of carriers a little later, on a thread of its own.
            var hasCarrier = false
            for _ in 0..<200 where !hasCarrier {
                hasCarrier = try events.next().contains {
                    if case .changed(let link) = $0 { link.index == port && link.hasCarrier } else { false }
                }
                if !hasCarrier { pause(milliseconds: 10) }
            }
            #expect(hasCarrier)
            try links.remove("p1")
            #expect(try events.next().contains(.removed(index: port, name: "p1")))

            for _ in 0..<400 { try links.set(bridge, isUp: true); try links.set(bridge, isUp: false) }
            #expect(try events.next().contains(.lost))
        }
    }
}
