import AgentProtocol
import ChildPrograms
import FabricProtocol
import FabricTestSupport
import Foundation
import Testing

@testable import FabricRules

private let isRoot = geteuid() == 0
private func isThere(_ program: String) -> Bool { FileManager.default.isExecutableFile(atPath: program) }
private let nft = "/usr/sbin/nft"
private let dnsmasq = "/usr/sbin/dnsmasq"
private let hasPython = Programs.run(["/usr/bin/env", "python3", "-c", "pass"]).hasSucceeded

/// What nft says of rules, in a network namespace that goes with it; nil: nothing.
private func complaint(about text: String) -> String? {
    let outcome = Programs.run(["/usr/bin/unshare", "-n", "/usr/sbin/nft", "-c", "-f", "-"], input: ByteString(text))
    return outcome.hasSucceeded ? nil : outcome.complaint.description
}

/// A folder that goes with the test.
private func withFolder(_ body: (URL) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "fabric-rules-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try body(folder)
}

@Suite(.enabled(if: isRoot && isThere(nft), "nft in a network namespace takes root and nftables"))
struct NetworkFilterTests {
    @Test(arguments: 1...24) func `nft takes the rules of any plan`(seed: UInt64) throws {
        let plan = try FabricPlan.random(seed: seed)
        let ports = plan.ports.filter { $0.network != nil }
        func text(_ port: FabricPort) -> String {
            port.network.flatMap(plan.network).map { PortRules.text(of: port, in: $0) } ?? ""
        }
        func removal(_ port: FabricPort) -> String {
            port.network.flatMap(plan.network).map { PortRules.removal(of: port, in: $0) } ?? ""
        }
        let rules = PortRules.frame + ports.map(text).joined()
        let routing = RoutingRules.text(of: plan.networks, joinedBy: plan.ports.filter { $0.joined != nil })
        // From nothing, once more over what is there, without some, and nothing again.
        let life = [
            routing + rules, PortRules.reset + routing + rules + rules,
            rules + ports.map { removal($0) + text($0) + removal($0) + text($0) }.joined(),
            rules + ports.map(removal).joined() + RoutingRules.text(of: []), PortRules.reset,
        ]
        let outside = PublishingRules.outside(
            ports,
            PublishingRules.Edge(
                device: "up", inner: [IPAddress(v4: 10, 189, 255, 2), IPAddress("fd10:189:255::2")].compactMap { $0 },
                forwardsIPv6: seed % 2 == 0))
        let published = PublishingRules.inside(ports) + outside
        for text in life + [published + published] { #expect(complaint(about: text) == nil) }
        for network in plan.networks where !network.isRouted {
            #expect(routing.contains("iifname \"\(network.bridge)\" counter drop"))
        }
        let ways = ports.compactMap { port in
            port.network.flatMap(plan.network).map {
                NameRules.Way(bridge: $0.bridge, hardwareAddress: port.hardwareAddress, server: 512 + port.number)
            }
        }
        let names = NameRules.frame + ways.map(NameRules.text).joined()
        for text in [names + names, names + NameRules.reset + names, NameRules.removal(ways) + NameRules.removal(ways)]
        {
            #expect(complaint(about: text) == nil)
        }
        // What is not there is taken away without a complaint.
        #expect(complaint(about: ports.map(removal).joined()) == nil)
        #expect(complaint(about: ConnectionRules.text() + ConnectionRules.text()) == nil)
        let egress = { (rules: (FabricPort, FabricNetwork) -> String) in
            ports.map { port in port.network.flatMap(plan.network).map { rules(port, $0) } ?? "" }.joined()
        }
        let (there, gone) = (egress(EgressRules.text), egress(EgressRules.removal))
        for text in [EgressRules.frame + there + there, there + gone, gone, EgressRules.reset + there] {
            #expect(complaint(about: EgressRules.frame + text) == nil)
        }
        for half in ["a", "b"] {
            if let text = EgressRules.emptying(half, of: plan) {
                #expect(complaint(about: EgressRules.frame + there + text) == nil)
            }
        }
    }

    @Test func `nft tells what it does not take`() {
        #expect(complaint(about: "add rule bridge swiftlet nowhere accept\n") != nil)
    }

    @Test(.enabled(if: hasPython, "the sender is a program of python3"))
    func `what a machine may not send is dropped and counted, and its own frames pass`() throws {
        let port = FabricPort(
            number: 1, network: "a", hardwareAddress: [2, 0, 0, 0, 0, 0x11],
            addresses: ["10.190.1.5", "10.190.1.6", "fd00:1::5", "fd00:1::6"].compactMap { IPAddress($0) })
        // Two that have nothing: their machines can only ask.
        let bare = FabricPort(number: 2, network: "a", hardwareAddress: [2, 0, 0, 0, 0, 0x22])
        // One that leads out of its network, and one that is asked for IPv6 alone.
        let prefixes = ["10.190.1.0/24", "fd00:1::/64"].compactMap { NetworkPrefix($0) }
        let lan = FabricNetwork(name: "a", number: 1, prefixes: prefixes)
        let led = FabricNetwork(
            name: "b", number: 2, prefixes: prefixes, reachesOutside: false,
            gateways: ["10.190.1.1", "fd00:1::1"].compactMap { IPAddress($0) })
        let leader = FabricPort(
            number: 4, network: "b", hardwareAddress: [2, 0, 0, 0, 0, 0x44],
            addresses: ["10.190.1.1", "fd00:1::1"].compactMap { IPAddress($0) })
        let half = FabricPort(
            number: 5, network: "b", hardwareAddress: [2, 0, 0, 0, 0, 0x55],
            addresses: ["10.190.1.5", "fd00:1::1"].compactMap { IPAddress($0) })
        try withFolder { folder in
            let rules = folder.appending(path: "rules").path
            let text =
                PortRules.frame + [port, bare].map { PortRules.text(of: $0, in: lan) }.joined()
                + [leader, half].map { PortRules.text(of: $0, in: led) }.joined()
            try text.write(toFile: rules, atomically: true, encoding: .utf8)
            let script = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "frames.py").path
            let outcome = Programs.run([
                "/usr/bin/unshare", "-n", "/usr/bin/env", "python3", ByteString(script), ByteString(rules),
            ])
            #expect(outcome.hasSucceeded, "\(outcome.output)\(outcome.complaint)")
        }
    }
}

@Suite struct ForwardingChainTests {
    @Test func `what drops what is forwarded is found among other chains`() {
        let listing = """
            table ip nat {
            \tchain POSTROUTING {
            \t\ttype nat hook postrouting priority srcnat; policy accept;
            \t}
            \tchain DOCKER {
            \t}
            }
            table ip filter {
            \tchain INPUT {
            \t\ttype filter hook input priority filter; policy drop;
            \t}
            \tchain FORWARD {
            \t\ttype filter hook forward priority filter; policy drop;
            \t}
            }
            table bridge filter {
            \tchain FORWARD {
            \t\ttype filter hook forward priority filter; policy drop;
            \t}
            }
            table ip6 filter {
            \tchain FORWARD {
            \t\ttype filter hook forward priority filter; policy drop;
            \t}
            }
            table inet firewall {
            \tchain ways {
            \t\ttype filter hook forward priority filter; policy accept;
            \t}
            \tchain more {
            \t\ttype filter hook forward priority filter + 5; policy drop;
            \t}
            }
            """
        #expect(
            ForwardingChain.dropping(listing).map(\.description)
                == ["ip filter FORWARD", "ip6 filter FORWARD", "inet firewall more"])
        #expect(ForwardingChain.names("iifname \"swiftlet-up*\" accept", "swiftlet-up"))
        #expect(!ForwardingChain.names("iifname \"swiftlet0\" accept", "swiftlet-up"))
        for text in ["", "type", "chain", "table", "type hook", "type filter hook forward policy drop;"] {
            #expect(ForwardingChain.dropping(text).isEmpty)
        }
    }
}

@Suite(.enabled(if: isThere(dnsmasq), "dnsmasq is not installed"))
struct NameSettingsTests {
    @Test(arguments: 1...12) func `dnsmasq takes the settings of any network`(seed: UInt64) throws {
        try withFolder { folder in
            for network in try FabricPlan.random(seed: seed).networks {
                let (names, leases) = (folder.appending(path: "n").path, folder.appending(path: "l").path)
                for path in [names, leases] {
                    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
                }
                let file = folder.appending(path: "settings").path
                let text = NameSettings.text(
                    of: network, names: names, leases: leases, given: names + ".given", pidFile: names + ".pid")
                try text.write(toFile: file, atomically: true, encoding: .utf8)
                let outcome = Programs.run([ByteString(dnsmasq), "--test", "--conf-file=" + ByteString(file)])
                #expect(outcome.hasSucceeded, "\(outcome.complaint)\(text)")
            }
            let plan = try FabricPlan.random(seed: seed)
            for network in plan.networks {
                guard
                    let text = EgressNames.text(
                        of: network, plan.ports(in: network), names: folder.appending(path: "n").path,
                        pidFile: folder.appending(path: "p").path)
                else { continue }
                let file = folder.appending(path: "strict").path
                try text.write(toFile: file, atomically: true, encoding: .utf8)
                let outcome = Programs.run([ByteString(dnsmasq), "--test", "--conf-file=" + ByteString(file)])
                #expect(outcome.hasSucceeded, "\(outcome.complaint)\(text)")
            }
            for view in Set(plan.ports.compactMap(plan.nameView)) {
                let text = NameSettings.text(
                    of: view, at: NameRules.ports.upperBound, in: plan, names: folder.appending(path: "n").path,
                    pidFile: folder.appending(path: "p").path)
                let file = folder.appending(path: "view").path
                try text.write(toFile: file, atomically: true, encoding: .utf8)
                let outcome = Programs.run([ByteString(dnsmasq), "--test", "--conf-file=" + ByteString(file)])
                #expect(outcome.hasSucceeded, "\(outcome.complaint)\(text)")
            }
        }
    }

    @Test(arguments: [
        ("web", ",web"), ("h", ",h"), ("web-12h", ",web-12h"), ("1a", ",1a"), ("ignore", ""), ("infinite", ""),
        ("12", ""),
        ("12h", ""), ("5m", ""), ("1w", ""),
    ])
    func `a lease names a machine, unless dnsmasq would take the name for something else`(
        name: String, written: String
    ) {
        let port = FabricPort(
            number: 1, network: "a", hardwareAddress: [2, 0, 0, 0, 0, 1],
            addresses: [IPAddress("fd00::5"), IPAddress("10.0.0.5"), IPAddress("10.0.0.6")].compactMap { $0 },
            names: [name, "other"])
        let lease = NameSettings.lease(of: port)
        #expect(lease == "02:00:00:00:00:01,10.0.0.5\(written)\n")
        #expect(NameSettings.names(of: port)?.split(separator: "\n").count == 3)
        let outcome = Programs.run([
            ByteString(dnsmasq), "--test", "--conf-file=/dev/null",
            ByteString("--dhcp-host=" + (lease ?? "").filter { $0 != "\n" }),
        ])
        #expect(outcome.hasSucceeded, "\(outcome.complaint)")
    }

    @Test func `who has no address has no lease and no name`() {
        var port = FabricPort(number: 1, network: "a", hardwareAddress: [2, 0, 0, 0, 0, 1], names: ["web"])
        #expect(NameSettings.lease(of: port) == nil)
        #expect(NameSettings.names(of: port) == nil)
        port.addresses = [IPAddress("fd00::5")].compactMap { $0 }
        #expect(NameSettings.lease(of: port) == nil)
        #expect(NameSettings.names(of: port) == "fd00::5 web\n")
    }
}
