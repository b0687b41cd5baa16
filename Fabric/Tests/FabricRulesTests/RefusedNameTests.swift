import AgentProtocol
import FabricRules
import Testing

@Suite struct RefusedNameTests {
    @Test func `a name that was refused is read with who asked for it`() throws {
        let line = "Nov 23 04:15:02 dnsmasq[29447]: 11 10.9.0.2/41560 config other.test is NXDOMAIN"
        let refused = try #require(RefusedName(line: Array(line.utf8)))
        #expect(refused.name == "other.test" && refused.client == IPAddress("10.9.0.2"))
    }

    @Test(arguments: [
        "", "config a.b is NXDOMAIN", "dnsmasq[7]: 11 10.9.0.2/4 config x 10.9.0.3/1 config good.com is NXDOMAIN",
        "dnsmasq[7]: 11 10.9.0.2/4 config a b.c is NXDOMAIN", "dnsmasq[7]: 11 10.9.0.2/41560 config web is NXDOMAIN",
        "dnsmasq[7]: 11 10.9.0.2/41560 config a.b is NODATA", "dnsmasq[7]: 11 host/41560 config a.b is NXDOMAIN",
        "dnsmasq[7]: 11 10.9.0.2/41560 query[A] a.b from 10.9.0.2",
        "dnsmasq[7]: 11 10.9.0.2/41560 reply a.b is NXDOMAIN",
    ])
    func `other lines are none`(line: String) { #expect(RefusedName(line: Array(line.utf8)) == nil) }
}
