import AgentProtocol
import FabricProtocol
import LinuxCalls
import Testing
import Wiring

@testable import FabricEngine
@testable import FabricRules

/// What is to be on the computer's side, as far as it is there.
private func far(_ number: Int = 0) -> [String] {
    let device = "swiftlet-up\(number)"
    var found: [String] = []
    let address = (try? run("/usr/sbin/ip", "-br", "-4", "address", "show", device)) ?? ""
    if address.contains("10.189.255.\(number * 4 + 1)/30") { found.append("address") }
    if (try? run("/usr/sbin/ip", "-br", "link", "show", device))?.contains("UP") == true { found.append("up") }
    if (try? run("/usr/sbin/nft", "list", "table", "ip", device))?.contains("masquerade") == true {
        found.append("rules")
    }
    if (try? run("/bin/cat", "/proc/sys/net/ipv4/ip_forward")) == "1" { found.append("forwarding") }
    let addressV6 = (try? run("/usr/sbin/ip", "-br", "-6", "address", "show", device)) ?? ""
    let last = String(number * 4 + 1, radix: 16)
    let parts = ["fd10:189:255::\(last)/126", "fe80::\(last)/64"]
    if parts.allSatisfy(addressV6.contains),
        (try? run("/usr/sbin/nft", "list", "table", "ip6", device))?.contains("masquerade") == true
    {
        found.append("IPv6")
    }
    return found
}

private let all = ["address", "up", "rules", "forwarding", "IPv6"]

@Suite(.enabled(if: mayRunEngines, Comment(rawValue: enginesTakeRoot)), .serialized)
struct WayOutTests {
    /// What somebody does to the computer's side, or to the fabric's.
    @Test(arguments: [
        ("address flush dev swiftlet-up0", ""), ("link set swiftlet-up0 down", ""), ("link delete swiftlet-up0", ""),
        ("link set swiftlet-up0 name other0", ""), ("", "link delete up0"), ("", "address flush dev up0"),
        ("", "link set up0 down"), ("", "route delete default"), ("-6 address flush dev swiftlet-up0", ""),
        ("", "-6 address flush dev up0"), ("", "-6 route delete default"),
    ])
    func `a way out that somebody has broken is mended`(outside: String, inside: String) async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) { [outside, inside] in
                let (engine, wayOut) = try TestComputer().engine()
                func ip(_ words: String) throws {
                    if !words.isEmpty { try run("/bin/sh", "-c", "/usr/sbin/ip \(words)") }
                }
                #expect(try wayOut.namespace.outside { () throws(FabricFault) in far() } == all)
                try wayOut.namespace.outside { () throws(FabricFault) in
                    do { try ip(outside) } catch { throw FabricFault("\(error)") }
                    for family in ["ip", "ip6"] {
                        _ = succeeds("/usr/sbin/nft", "delete", "table", family, "swiftlet-up0")
                    }
                    _ = succeeds("/bin/sh", "-c", "echo 0 > /proc/sys/net/ipv4/ip_forward")
                }
                try ip(inside)
                try engine.apply(change(isWhole: true))
                #expect(try wayOut.namespace.outside { () throws(FabricFault) in far() } == all)
                #expect(succeeds("/bin/ping", "-c", "1", "-W", "30", "10.189.255.1"))
                #expect(try run("/usr/sbin/ip", "route", "show", "default").contains("via 10.189.255.1"))
                #expect(succeeds("/bin/ping", "-c", "1", "-W", "30", "fd10:189:255::1"))
                #expect(try run("/usr/sbin/ip", "-6", "route", "show", "default").contains("via fd10:189:255::1"))
                #expect(try run("/usr/sbin/ip", "-6", "address", "show", "up0").contains("fe80::2/64"))
            })
    }

    @Test func `one that is half made is made whole, wherever its maker was killed`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let computer = try TestComputer()
                let namespace = try EngineNamespace(computer.folder)
                // The pair alone: nobody has written down which it is.
                let fabric = namespace.own.number
                _ = try namespace.outside { () throws(FabricFault) in try Uplink.made(nil, fabric).number }
                // From the computer, as an engine begins.
                let (_, wayOut) = try namespace.outside { () throws(FabricFault) in
                    do { return try computer.engine() } catch { throw FabricFault("\(error)") }
                }
                #expect(try wayOut.namespace.outside { () throws(FabricFault) in far() } == all)
                #expect(succeeds("/bin/ping", "-c", "1", "-W", "30", "10.189.255.1"))
                wayOut.remove()
                #expect(try wayOut.namespace.outside { () throws(FabricFault) in far() } == ["forwarding"])
            })
    }

    @Test func `what others have of such a name is left alone`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let computer = try TestComputer()
                try run("/usr/sbin/ip", "link", "add", "swiftlet-up0", "type", "bridge")
                try run("/usr/sbin/ip", "link", "add", "swiftlet-up1", "type", "veth", "peer", "name", "theirs")
                try run("/usr/sbin/nft", "add table ip swiftlet-up0")
                let (engine, wayOut) = try computer.engine()
                #expect(try wayOut.namespace.outside { () throws(FabricFault) in far(2) } == all)
                try engine.apply(change(isWhole: true))
                wayOut.remove()
                try wayOut.namespace.outside { () throws(FabricFault) in
                    #expect(succeeds("/usr/sbin/ip", "link", "show", "swiftlet-up0"))
                    #expect(succeeds("/usr/sbin/ip", "link", "show", "swiftlet-up1"))
                    #expect(!succeeds("/usr/sbin/ip", "link", "show", "swiftlet-up2"))
                    #expect(succeeds("/usr/sbin/nft", "list", "table", "ip", "swiftlet-up0"))
                }
            })
    }

    @Test func `who forbids that anything is forwarded is told, unless that names the link`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let (_, wayOut) = try TestComputer().engine()
                #expect(wayOut.hindrances().isEmpty)
                try wayOut.namespace.outside { () throws(FabricFault) in
                    _ = succeeds("/usr/sbin/nft", "add table ip filter")
                    _ = succeeds(
                        "/usr/sbin/nft",
                        "add chain ip filter FORWARD { type filter hook forward priority filter; policy drop; }")
                }
                #expect(wayOut.hindrances().map(\.description) == ["ip filter FORWARD"])
                try wayOut.namespace.outside { () throws(FabricFault) in
                    _ = succeeds("/usr/sbin/nft", "add rule ip filter FORWARD iifname \"swiftlet-up*\" accept")
                }
                #expect(wayOut.hindrances().isEmpty)
                try wayOut.namespace.outside { () throws(FabricFault) in
                    _ = succeeds("/usr/sbin/nft", "add table ip6 filter")
                    _ = succeeds(
                        "/usr/sbin/nft",
                        "add chain ip6 filter FORWARD { type filter hook forward priority filter; policy drop; }")
                }
                #expect(wayOut.hindrances().map(\.description) == ["ip6 filter FORWARD"])
            })
    }

    @Test func `the computer's own switch for IPv6 is as it was, and looked at`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let (engine, wayOut) = try TestComputer().engine()
                func outside(_ command: String) throws {
                    try wayOut.namespace.outside { () throws(FabricFault) in
                        do { try run("/bin/sh", "-ec", command) } catch { throw FabricFault("\(error)") }
                    }
                }
                func isRefused() throws -> Bool {
                    try engine.apply(change(isWhole: true))
                    return try wayOut.namespace.outside { () throws(FabricFault) in
                        do {
                            return try run("/usr/sbin/nft", "list", "table", "ip6", "swiftlet-up0").contains("no-route")
                        } catch { throw FabricFault("\(error)") }
                    }
                }
                try outside("grep -qx 0 /proc/sys/net/ipv6/conf/all/forwarding")
                #expect(wayOut.hindranceOfIPv6() == "net.ipv6.conf.all.forwarding")
                #expect(try isRefused())
                try outside("grep -qx 0 /proc/sys/net/ipv6/conf/all/forwarding")
                try outside("echo 1 > /proc/sys/net/ipv6/conf/all/forwarding")
                #expect(wayOut.hindranceOfIPv6() == nil)
                #expect(try !isRefused())
                // Without IPv6 there is the way by IPv4.
                try outside("echo 1 > /proc/sys/net/ipv6/conf/swiftlet-up0/disable_ipv6")
                try engine.apply(change(isWhole: true))
                #expect(succeeds("/bin/ping", "-c", "1", "-W", "30", "10.189.255.1"))
                try outside("! nft list table ip6 swiftlet-up0")
            })
    }

    @Test func `machines of networks of their own are not outside`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let (_, wayOut) = try TestComputer().engine()
                try wayOut.namespace.outside { () throws(FabricFault) in
                    do {
                        for (name, address) in [("swiftlet0", "10.191.0.1/30"), ("lan0", "10.200.0.1/24")] {
                            try run("/usr/sbin/ip", "link", "add", name, "type", "veth", "peer", "name", name + "p")
                            try run("/usr/sbin/ip", "netns", "add", name)
                            try run("/usr/sbin/ip", "link", "set", name + "p", "netns", name)
                            try run("/usr/sbin/ip", "address", "add", address, "dev", name)
                            try run("/usr/sbin/ip", "link", "set", name, "up")
                            let inner = address.replacing(".1/", with: ".2/")
                            try run(
                                "/usr/sbin/ip", "netns", "exec", name, "/bin/sh", "-c",
                                "ip address add \(inner) dev \(name)p; ip link set \(name)p up; ip route add default via "
                                    + address.prefix { $0 != "/" })
                        }
                    } catch { throw FabricFault("\(error)") }
                }
                #expect(succeeds("/bin/ping", "-c", "1", "-W", "30", "10.200.0.2"))
                #expect(!succeeds("/bin/ping", "-c", "1", "-W", "1", "10.191.0.2"))
            })
    }

    @Test func `a machine has so many connections with what is elsewhere, and no more`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let (engine, _) = try TestComputer().engine()
                defer { engine.nameServers.endAll() }
                let lan = network("lan", 1, "10.9.0.0/24")
                try engine.apply(change([lan], [port(1, "lan", "10.9.0.2"), port(2, "lan", "10.9.0.3")]))
                try Rules.set(ConnectionRules.text(most: 16))
                for number in [1, 2] {
                    let told = try guest(
                        "flows", "t\(number)", "02:00:00:00:00:0\(number)", "10.9.0.\(number + 1)", "02:53:77:00:00:01",
                        "10.189.255.1", "40")
                    #expect(told == "sent")
                }
                let table = try run("/usr/sbin/nft", "list", "table", "inet", "swiftlet-connections")
                // Of each of the two.
                #expect(table.contains("packets 48 "), "\(table)")
                #expect(table.contains("more connections than one machine may have"))
                // Other rules being set lets nobody begin anew.
                try engine.apply(change([network("dmz", 2, "10.8.0.0/24")], [port(3, "dmz", "10.8.0.2")]))
                #expect(
                    try run("/usr/sbin/nft", "list", "set", "inet", "swiftlet-connections", "machines").contains(
                        "ct count"))
            })
    }
}
