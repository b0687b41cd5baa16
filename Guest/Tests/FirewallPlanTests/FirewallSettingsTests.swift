import AgentProtocol
import ApplianceGuest
import FirewallPlan
import Testing

/// The least that a firewall can be told, and what is said besides.
func fields(_ more: [(ByteString, ByteString)] = []) -> SettingsFields {
    let least: [(ByteString, ByteString)] = [("outside.address", "192.0.2.5/24"), ("outside.gateway", "192.0.2.1")]
    let all = least.filter { one in !more.contains { $0.0 == one.0 } } + more
    return SettingsFields(all.filter { $0.1 != "-" }.map { .init($0.0, $0.1) })
}

/// Its lines, without what indents them.
func lines(_ text: ByteString) -> [String] {
    text.description.split(separator: "\n").map { String($0.drop { $0 == " " }) }
}

@Suite struct FirewallSettingsTests {
    @Test func `what is not set has a value that works`() throws {
        let settings = try FirewallSettings(fields())
        #expect(settings.inside.text == "192.168.1.1/24")
        #expect(settings.dmz == nil)
        #expect((settings.firstLease.text, settings.lastLease.text) == ("192.168.1.100", "192.168.1.199"))
        #expect(settings.leaseSeconds == 43_200)
        #expect(settings.statusPort == 80)
        let small = try FirewallSettings(fields([("inside.address", "10.0.0.1/29")]))
        #expect((small.firstLease.text, small.lastLease.text) == ("10.0.0.1", "10.0.0.6"))
    }

    @Test(arguments: [
        ("outside.address", "-"), ("outside.address", "192.0.2.5"), ("outside.address", "192.0.2.0/24"),
        ("outside.address", "192.0.2.255/24"), ("outside.address", "192.0.2.5/31"), ("outside.address", "127.0.0.1/8"),
        ("outside.address", "fd00::1/64"), ("outside.gateway", "-"), ("outside.gateway", "192.0.3.1"),
        ("outside.gateway", "192.0.2.5"), ("inside.address", "192.0.2.9/28"), ("dmz.address", "192.168.1.9/25"),
        ("dhcp.first", "192.168.2.1"), ("dhcp.last", "192.168.1.2"), ("dhcp.lease", "1"), ("dhcp.lease", "12h"),
        ("dhcp.lease", "99999999999999999999"), ("dhcp.enabled", "yes"), ("dns.domain", "a b"), ("dns.domain", "-a"),
        ("dns.servers.count", "9"), ("dns.servers.count", "1"), ("status-page.port", "53"), ("status-page.port", "0"),
        ("forwards.count", "65"), ("rules.count", "-1"),
    ])
    func `what is wrong is refused by its field`(_ field: ByteString, _ value: ByteString) {
        #expect {
            try FirewallSettings(fields([(field, value)]))
        } throws: {
            ($0 as? SettingsFault)?.field.description.hasPrefix(field.description.split(separator: ".")[0]) == true
        }
    }

    @Test(arguments: [
        "x", "192.0.2.1; accept", "10.0.0.1\nserver=6.6.6.6", "10.0.0.1 ", " 10.0.0.1", "010.0.0.1", "10.0.0.1/24",
        "0.0.0.0",
        "255.255.255.255", "224.0.0.1", "", "10.0.0.1\u{0}",
    ])
    func `an address is an address and nothing behind it`(_ text: String) {
        #expect(throws: SettingsFault.self) { try fields([("a", ByteString(text))]).address("a") }
        #expect(throws: SettingsFault.self) { try fields([("a", ByteString(text + "/8"))]).interfaceAddress("a") }
    }

    @Test(arguments: [
        "a,b", "a\nb", "a#b", "a b", "A", "a.", ".a", "a..b", "a/b", "ä", String(repeating: "a", count: 64),
    ])
    func `a name is a name and nothing behind it`(_ text: String) {
        #expect(throws: SettingsFault.self) { try fields([("a", ByteString(text))]).hostName("a") }
        #expect(throws: SettingsFault.self) { try fields([("a", ByteString(text))]).hardwareAddress("a") }
    }

    @Test(arguments: [
        ("ignore", true), ("infinite", true), ("12h", true), ("7", true), ("printer", false), ("pc7", false),
        ("7.example", false), ("a1h", false), ("h", false),
    ])
    func `a reserved host's name is no order to the name service`(_ name: String, _ isOrder: Bool) {
        let reserved = fields([
            ("dhcp.reserved.count", "1"), ("dhcp.reserved.0.hardware-address", "52:54:00:12:34:56"),
            ("dhcp.reserved.0.address", "192.168.1.7"), ("dhcp.reserved.0.host-name", ByteString(name)),
        ])
        let fault: SettingsFault?
        do throws(SettingsFault) {
            _ = try FirewallSettings(reserved)
            fault = nil
        } catch { fault = error }
        #expect((fault?.field == "dhcp.reserved.0.host-name") == isOrder)
        #expect((fault == nil) == !isOrder)
    }

    @Test func `forwards lead to hosts behind the firewall, each port to one`() throws {
        func forwards(_ all: [[(ByteString, ByteString)]]) -> SettingsFields {
            var more: [(ByteString, ByteString)] = [
                ("dmz.address", "10.0.2.1/24"), ("forwards.count", ByteString(UInt(all.count))),
            ]
            for (index, one) in all.enumerated() {
                more += one.map { ("forwards." + ByteString(UInt(index)) + "." + $0.0, $0.1) }
            }
            return fields(more)
        }
        let web: [(ByteString, ByteString)] = [("port", "80"), ("to", "10.0.2.10")]
        #expect(try FirewallSettings(forwards([web])).forwards.count == 1)
        #expect(try FirewallSettings(forwards([web, web + [("protocol", "udp")]])).forwards.count == 2)
        #expect(throws: SettingsFault.self) { try FirewallSettings(forwards([web, web])) }
        for (field, value) in [
            (ByteString("to"), ByteString("10.0.3.10")), ("to", "10.0.2.1"), ("port", "x"), ("protocol", "icmp"),
            ("from", "10.0.0.1/8"), ("to-port", "65536"),
        ] {
            #expect(throws: SettingsFault.self) {
                try FirewallSettings(forwards([web.filter { $0.0 != field } + [(field, value)]]))
            }
        }
    }

    @Test func `rules name two sides that are there, and ports where there are ports`() throws {
        func rule(_ rule: [(ByteString, ByteString)]) -> SettingsFields {
            fields([("rules.count", "1")] + rule.map { ("rules.0." + $0.0, $0.1) })
        }
        let block: [(ByteString, ByteString)] = [("from", "inside"), ("to", "outside"), ("action", "drop")]
        #expect(try FirewallSettings(rule(block)).rules.count == 1)
        for more: (ByteString, ByteString) in [
            ("from", "dmz"), ("to", "inside"), ("action", "jump evil"), ("protocol", "gre"), ("port", "80"),
            ("last-port", "90"), ("source", "10.0.0.0/33"),
        ] {
            #expect(throws: SettingsFault.self) {
                try FirewallSettings(rule(block.filter { $0.0 != more.0 } + [more]))
            }
        }
    }

    @Test(arguments: 1...20)
    func `whatever the values are, no line is made that was not meant`(seed: UInt64) throws {
        // Pieces that mean something to nft, dnsmasq or the kernel, in every field, at random.
        let pieces = [
            "10.0.0.1", "/24", "\n", ";", "}", "{", "\"", "#", ",", " ", "accept", "server=", "1", "80", "true",
            "inside", "a", "\\",
            "52:54:00:12:34:56", "1h", "\t", "\u{0}", "é",
        ]
        let names: [ByteString] = [
            "inside.address", "dmz.address", "dhcp.first", "dhcp.lease", "dns.domain", "dns.servers.0",
            "dns.hosts.0.name",
            "dns.hosts.0.address", "forwards.0.to", "forwards.0.port", "forwards.0.protocol", "forwards.0.from",
            "rules.0.from", "rules.0.to", "rules.0.action", "rules.0.source", "dhcp.reserved.0.hardware-address",
            "dhcp.reserved.0.address", "dhcp.reserved.0.host-name",
        ]
        var state = seed &* 0x9e37_79b9_7f4a_7c15
        func next(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        for _ in 0..<200 {
            var more: [(ByteString, ByteString)] = []
            for list in [ByteString("dns.servers"), "dns.hosts", "forwards", "rules", "dhcp.reserved"]
            where next(2) == 0 {
                more.append((list + ".count", "1"))
            }
            for name in names where next(3) == 0 {
                more.append((name, ByteString((0...next(3)).map { _ in pieces[next(pieces.count)] }.joined())))
            }
            guard let settings = try? FirewallSettings(fields(more)) else { continue }
            let rules = settings.filterRules
            #expect(rules.bytes.allSatisfy { $0 == 0x0a || (0x20...0x7e).contains($0) } && !rules.contains(";;"))
            #expect(lines(rules).filter { $0.hasPrefix("chain ") }.count == 5)
            let known = ["port", "server", "domain", "local", "host-record", "dhcp-", "interface", "pid-file"]
            for line in lines(settings.nameServiceConfiguration(in: "/run")).drop(while: { $0 != "log-facility=-" })
                .dropFirst()
            {
                #expect(known.contains { line.hasPrefix($0) } || line == "no-dhcp-interface=dmz", "\(line)")
                #expect(!line.contains(" ") && !line.contains("#"))
            }
        }
    }
}
