import AgentProtocol
import FabricProtocol
import Foundation
import LinuxCalls
import Testing
import WireFormats

@testable import FabricEngine

private let tools = [
    "/usr/bin/dig", "/usr/bin/busybox", "/usr/bin/iperf3", "/usr/sbin/hping3", "/usr/bin/tcpdump", "/usr/bin/tshark",
    "/usr/sbin/dhclient",
]
private let areThere = tools.allSatisfy { FileManager.default.isExecutableFile(atPath: $0) }

/// What tools say of a network that were made by others, to judge networks with.
@Suite(
    .enabled(if: mayRunEngines, Comment(rawValue: enginesTakeRoot)),
    .enabled(if: areThere, "dig, busybox, iperf3, hping3, tcpdump, tshark or dhclient is missing"), .serialized)
struct JudgeTests {
    @Test func `dig finds names, forth and back, by UDP and TCP, and is told what there is not`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let (engine, _) = try TestComputer().engine()
                defer { engine.nameServers.endAll() }
                let machine = try Place(1, "10.9.0.2")
                var other = port(2, "lan", "10.9.0.3")
                other.names.append("shop")
                other.addresses += [IPAddress("fd00:9::3")].compactMap { $0 }
                let lan = network("lan", 1, "10.9.0.0/24") {
                    $0.prefixes += [NetworkPrefix("fd00:9::/64")].compactMap { $0 }
                }
                try engine.put(change([lan], [port(1, "lan", "10.9.0.2"), other]))
                func dig(_ question: String) throws -> String {
                    try machine.shell("dig +tries=10 +time=2 @10.9.0.1 \(question)")
                }
                #expect(try dig("+short m2.lan.internal") == "10.9.0.3")
                #expect(try dig("+short +tcp shop.lan.internal") == "10.9.0.3")
                #expect(try dig("+short shop.lan.internal AAAA") == "fd00:9::3")
                #expect(try dig("+short -x 10.9.0.3") == "m2.lan.internal.")
                #expect(try dig("+short -x fd00:9::3") == "m2.lan.internal.")
                #expect(try dig("nobody.lan.internal").contains("status: NXDOMAIN"))
            })
    }

    @Test func `a DHCP client is given its address, the way out, the names and how long packets are`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let (engine, _) = try TestComputer().engine()
                defer { engine.nameServers.endAll() }
                let machine = try Place(1)
                let lan = network("lan", 1, "10.9.0.0/24") { $0.maximumTransmissionUnit = 1400 }
                try engine.put(change([lan], [port(1, "lan", "10.9.0.7")]))
                let script = "/run/given"
                try Data("#!/bin/sh\n[ $1 = bound ] && echo $ip/$mask $router $dns $domain $mtu\nexit 0\n".utf8)
                    .write(to: URL(filePath: script))
                try run("/bin/chmod", "755", script)
                let given = try machine.shell(
                    "busybox udhcpc -n -q -f -t 20 -T 1 -O mtu -i eth0 -s \(script) 2> /dev/null")
                report("udhcpc: \(given)")
                #expect(given == "10.9.0.7/24 10.9.0.1 10.9.0.1 lan.internal 1400")
            })
    }

    @Test func `ISC's DHCP client is told the same, and gives it back`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let (engine, _) = try TestComputer().engine()
                defer { engine.nameServers.endAll() }
                let machine = try Place(1)
                let lan = network("lan", 1, "10.9.0.0/24") { $0.maximumTransmissionUnit = 1400 }
                try engine.put(change([lan], [port(1, "lan", "10.9.0.7")]))
                let script = "/run/told"
                try Data(
                    """
                    #!/bin/sh
                    echo "$reason $new_ip_address/$new_subnet_mask $new_routers $new_domain_name_servers" \
                        "$new_domain_name $new_interface_mtu" >> /run/leases
                    exit 0

                    """.utf8
                ).write(to: URL(filePath: script))
                try run("/bin/chmod", "755", script)
                let client = "dhclient -4 -1 -q -sf \(script) -pf /run/client -lf /run/lease eth0 > /dev/null 2>&1"
                try machine.shell("timeout 120 \(client)")
                let leases = try run("/bin/cat", "/run/leases")
                report("dhclient: \(leases)")
                #expect(leases.contains("BOUND 10.9.0.7/255.255.255.0 10.9.0.1 10.9.0.1 lan.internal 1400"))
                try machine.shell(client.replacingOccurrences(of: " -1 ", with: " -r "))
                #expect(try run("/bin/cat", "/run/leases").contains("\nRELEASE"))
            })
    }

    @Test func `what hping3 sends in the name of another comes nowhere, and is counted`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let (engine, _) = try TestComputer().engine()
                defer { engine.nameServers.endAll() }
                let machines = [try Place(1, "10.9.0.2"), try Place(2, "10.9.0.3")]
                let lan = network("lan", 1, "10.9.0.0/24")
                try engine.put(change([lan], [port(1, "lan", "10.9.0.2"), port(2, "lan", "10.9.0.3")]))
                try machines[1].shell(
                    "timeout 120 tcpdump -Uni eth0 -w /run/seen.pcap udp dst port 9 > /dev/null 2> /run/dump & echo $! > /run/dump.pid"
                )
                defer { _ = try? machines[1].shell("kill $(cat /run/dump.pid)") }
                try soon { try machines[1].shell("cat /run/dump").contains("listening on") }
                // hping3 says that it has no answer; that is none of its business.
                func send(_ count: Int, _ options: String) throws {
                    try machines[0].shell(
                        "hping3 -q -c \(count) -i u10000 -2 -p 9 \(options) 10.9.0.3 > /dev/null 2>&1 || true")
                }
                func seen(from address: String) throws -> Int {
                    let lines = try machines[1].shell(
                        "tshark -r /run/seen.pcap -Y 'ip.src == \(address)' 2> /dev/null || true")
                    return lines.split(separator: "\n").count
                }
                try send(20, "-a 10.9.0.9")
                try send(20, "-a 192.0.2.1")
                try soon {
                    try send(5, "")
                    return try seen(from: "10.9.0.2") >= 5
                }
                #expect(try seen(from: "10.9.0.9") == 0 && seen(from: "192.0.2.1") == 0)
                let rules = try run("/usr/sbin/nft", "list", "chain", "bridge", "swiftlet", "machine")
                #expect(
                    rules.contains("counter packets 40 bytes 1120 drop comment \"another machine's address\""),
                    "\(rules)")
            })
    }

    @Test func `iperf3 loses nothing while an appliance comes and goes`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let (engine, _) = try TestComputer().engine()
                defer { engine.nameServers.endAll() }
                let machines = [try Place(1, "10.9.0.2"), try Place(2, "10.9.0.3")]
                let appliance = try Place.bridge(11, 12)
                let ends: [FabricPort] = [11, 12].map {
                    FabricPort(number: $0, network: nil, hardwareAddress: [2, 0, 0, 0, 1, UInt8($0)])
                }
                var guarded = port(1, "lan", "10.9.0.2")
                try engine.put(
                    change([network("lan", 1, "10.9.0.0/24")], ends + [guarded, port(2, "lan", "10.9.0.3")]))
                try soon { machines[0].reaches("10.9.0.3") }
                let inline = InlineAppliance(name: "a", inside: 11, outside: 12, patienceMilliseconds: 1000)
                /// Of a flow under which the appliance comes and goes eight times, what the receiver has counted.
                func flow(_ options: String) throws -> JSONValue {
                    try machines[1].shell("iperf3 -s -1 -D --pidfile /run/iperf.pid")
                    try soon { succeeds("/bin/sh", "-c", "test -s /run/iperf.pid") }
                    try machines[0].shell("iperf3 -c 10.9.0.3 -t 4 -J \(options) > /run/iperf 2>&1 &")
                    let before = appliance.received
                    for _ in 0..<8 {
                        for line in [[inline], []] {
                            guarded.line = line
                            try engine.put(change([], [guarded]))
                            sleep(nanoseconds: 150_000_000)
                        }
                    }
                    #expect(appliance.received > before + 100)
                    try soon { !succeeds("/bin/sh", "-c", "kill -0 $(cat /run/iperf.pid) 2> /dev/null") }
                    let result = try JSONParser.parse([UInt8](Data(contentsOf: URL(filePath: "/run/iperf"))))
                    if let error = result.text("error") { throw FabricFault(error) }
                    return try #require(result["end"])
                }
                // Small and few enough to wait in the receiver's socket for as long as it gets no processor.
                let numbered = try #require(try flow("-u -b 400K -l 100")["sum"])
                report(
                    "iperf3, UDP: \(numbered.integer("lost_packets") ?? -1) of \(numbered.integer("packets") ?? 0) lost"
                )
                #expect(numbered.integer("lost_packets") == 0)
                #expect(numbered.integer("packets") ?? 0 > 1000)
                let stream = try flow("")
                let bytes = stream["sum_received"]?.integer("bytes") ?? 0
                report(
                    "iperf3, TCP: \(bytes >> 20) MiB in 4 s, \(stream["sum_sent"]?.integer("retransmits") ?? -1) retransmits"
                )
                #expect(bytes > 10 << 20)
            })
    }
}
