import AgentProtocol
import ApplianceGuest
import FirewallPlan
import Testing

@Suite struct FirewallRulesTests {
    private let full: [(ByteString, ByteString)] = [
        ("inside.address", "10.0.1.1/24"), ("dmz.address", "10.0.2.1/24"), ("forwards.count", "2"),
        ("forwards.0.port", "8080"), ("forwards.0.to", "10.0.2.10"), ("forwards.0.to-port", "80"),
        ("forwards.1.protocol", "udp"), ("forwards.1.port", "514"), ("forwards.1.to", "10.0.1.9"),
        ("forwards.1.from", "198.51.100.0/24"), ("rules.count", "2"), ("rules.0.from", "inside"),
        ("rules.0.to", "outside"),
        ("rules.0.action", "reject"), ("rules.0.protocol", "tcp"), ("rules.0.port", "25"), ("rules.0.last-port", "26"),
        ("rules.1.from", "dmz"), ("rules.1.to", "inside"), ("rules.1.action", "accept"), ("rules.1.protocol", "icmp"),
        ("rules.1.source", "10.0.2.10/32"), ("log-dropped", "true"), ("dns.servers.count", "1"),
        ("dns.servers.0", "192.0.2.53"), ("dns.domain", "example.test"), ("dns.hosts.count", "2"),
        ("dns.hosts.0.name", "web"), ("dns.hosts.0.address", "10.0.2.10"), ("dns.hosts.1.name", "a.b"),
        ("dns.hosts.1.address", "10.0.2.11"), ("dhcp.first", "10.0.1.50"), ("dhcp.last", "10.0.1.60"),
        ("dhcp.lease", "5400"), ("dhcp.reserved.count", "1"),
        ("dhcp.reserved.0.hardware-address", "52:54:00:12:34:56"),
        ("dhcp.reserved.0.address", "10.0.1.7"), ("dhcp.reserved.0.host-name", "printer"),
    ]

    @Test func `every chain that packets come through drops what nothing lets pass`() throws {
        for text in [
            FirewallSettings.closedRules, try FirewallSettings(fields()).filterRules,
            try FirewallSettings(fields(full)).filterRules,
        ] {
            for chain in ["input", "forward"] {
                #expect(text.contains("type filter hook " + ByteString(chain) + " priority filter; policy drop;"))
            }
            // One transaction that replaces what is there.
            #expect(text.hasPrefix("table inet firewall\ndelete table inet firewall\ntable inet firewall {"))
        }
    }

    @Test func `without a DMZ nothing speaks of one`() throws {
        let settings = try FirewallSettings(fields())
        #expect(!settings.filterRules.contains("dmz"))
        #expect(!settings.nameServiceConfiguration(in: "/run").contains("dmz"))
        #expect(settings.interfaces.map(\.name) == ["outside", "inside"])
    }

    @Test func `settings become rules`() throws {
        let rules = lines(try FirewallSettings(fields(full)).filterRules)
        for line in [
            "iifname \"outside\" ip daddr 192.0.2.5 tcp dport 8080 dnat ip to 10.0.2.10:80",
            "iifname \"outside\" ip daddr 192.0.2.5 ip saddr 198.51.100.0/24 udp dport 514 dnat ip to 10.0.1.9:514",
            "iifname \"outside\" ct status dnat ip daddr 10.0.2.10 tcp dport 80 ct original proto-dst 8080 counter name forward_0 accept",
            "iifname \"inside\" oifname \"outside\" tcp dport 25-26 counter name rule_0 reject with icmpx type admin-prohibited",
            "iifname \"dmz\" oifname \"inside\" ip saddr 10.0.2.10/32 meta l4proto icmp counter name rule_1 accept",
            "oifname \"outside\" ip saddr 10.0.1.0/24 snat ip to 192.0.2.5",
            "oifname \"outside\" ip saddr 10.0.2.0/24 snat ip to 192.0.2.5",
            "iifname \"inside\" ip daddr 10.0.1.1 tcp dport 80 counter name status_page accept",
            "limit rate 10/minute log prefix \"firewall forward \"",
        ] { #expect(rules.contains(line), "\(line)") }
        // People's rules come before what is usual.
        let rule = try #require(rules.firstIndex { $0.contains("counter name rule_0") })
        let usual = try #require(rules.firstIndex { $0.contains("counter name inside_outside") })
        #expect(rule < usual)
        #expect(!rules.contains { $0.contains("iifname \"dmz\" oifname \"inside\" counter") })
    }

    @Test func `every counter that a rule names is there, once`() throws {
        for more in [[], full] {
            let settings = try FirewallSettings(fields(more))
            let names = settings.counterNames.map(\.description)
            #expect(Set(names).count == names.count)
            for line in lines(settings.filterRules) {
                guard let range = line.split(separator: " ").firstIndex(of: "counter"), !line.hasPrefix("counter")
                else {
                    continue
                }
                let words = line.split(separator: " ")
                #expect(words[range + 1] == "name" && names.contains(String(words[range + 2])), "\(line)")
            }
        }
    }

    @Test func `settings become what the name service reads`() throws {
        let text = lines(try FirewallSettings(fields(full)).nameServiceConfiguration(in: "/run/firewall"))
        for line in [
            "server=192.0.2.53", "local=/example.test/", "host-record=web.example.test,10.0.2.10",
            "host-record=a.b,10.0.2.11", "dhcp-range=10.0.1.50,10.0.1.60,255.255.255.0,5400", "no-dhcp-interface=dmz",
            "dhcp-host=52:54:00:12:34:56,10.0.1.7,printer", "dhcp-leasefile=/run/firewall/leases",
            "except-interface=outside",
        ] { #expect(text.contains(line), "\(line)") }
        let without = try FirewallSettings(fields([("dhcp.enabled", "false")]))
        #expect(!without.nameServiceConfiguration(in: "/run").contains("dhcp-"))
        #expect(!without.filterRules.contains("dport 67"))
    }

    @Test func `the outside has the default route`() throws {
        let interfaces = try FirewallSettings(fields(full)).interfaces
        #expect(interfaces.map(\.name) == ["outside", "inside", "dmz"])
        #expect(interfaces.map(\.routes.count) == [1, 0, 0])
        #expect(interfaces[0].routes.first?.gateway == IPAddress(v4: 192, 0, 2, 1))
    }
}

@Suite struct FirewallReportTests {
    @Test func `what a client calls itself is text, never a page`() {
        var report = FirewallReport()
        report.leases = FirewallReport.leases(
            "1700000000 52:54:00:12:34:56 10.0.1.50 <script>alert('1')</script>&\" 01:52\nnoise\n1 2 3\n")
        #expect(report.leases.count == 1)
        report.fault = "<b>"
        let page = report.page
        #expect(!page.contains("<script") && !page.contains("<b>"))
        #expect(page.contains("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;&quot;"))
    }

    @Test func `leases and counters are read as they are written`() {
        #expect(
            FirewallReport.leases(
                "1700000000 52:54:00:12:34:56 10.0.1.50 laptop 01:52:54\n0 52:54:00:12:34:57 10.0.1.51 * *\n"
            )
            .map(\.hostName) == ["laptop", ""])
        let listing: ByteString = """
            table inet firewall {
            \tcounter dns {
            \t\tpackets 12 bytes 3400
            \t}
            }
            """
        #expect(FirewallReport.counters(listing) == [.init(name: "dns", packets: 12, bytes: 3400)])
    }
}

@Suite struct HTTPRequestTests {
    @Test func `a request is read when its head is whole`() {
        #expect(HTTPRequest(Array("GET / HTTP/1.1\r\nHost: a\r\n".utf8)) == nil)
        #expect(HTTPRequest(Array("GET /?a=b HTTP/1.1\r\nHost: a\r\n\r\n".utf8)) == .page(path: "/", isHead: false))
        #expect(HTTPRequest(Array("HEAD /health HTTP/1.0\n\n".utf8)) == .page(path: "/health", isHead: true))
        #expect(HTTPRequest(Array("POST / HTTP/1.1\r\n\r\n".utf8)) == .notAllowed)
    }

    @Test(arguments: [
        "\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/2\r\n\r\n", "GET http://a/ HTTP/1.1\r\n\r\n", "GET  / HTTP/1.1\r\n\r\n",
        String(repeating: "a", count: 4096),
    ])
    func `noise is answered as such`(_ text: String) { #expect(HTTPRequest(Array(text.utf8)) == .malformed) }
}
