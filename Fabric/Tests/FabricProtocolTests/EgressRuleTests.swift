import Testing

@testable import FabricProtocol

private func fault(_ text: String) -> String? {
    do throws(FabricFault) {
        _ = try EgressRule(parsing: text)
        return nil
    } catch { return error.description }
}

@Suite struct EgressRuleTests {
    @Test(arguments: [
        ("example.com", "example.com"), ("example.com:443", "example.com:443"), ("a.b/tcp", "a.b/tcp"),
        ("_x.a-b.example.com:1-65535/udp", "_x.a-b.example.com:1-65535/udp"), ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.1.2.3", "10.1.2.3"), ("10.1.2.3/8:80", "10.0.0.0/8:80"), ("192.0.2.1/32:53/udp", "192.0.2.1:53/udp"),
        ("2001:db8::1", "[2001:db8::1]"), ("[2001:db8::1]:443/tcp", "[2001:db8::1]:443/tcp"),
        ("[fd00::/8]", "[fd00::/8]"), ("0.0.0.0/0:7-7", "0.0.0.0/0:7"), ("1.2.3.4.example", "1.2.3.4.example"),
    ])
    func `a rule is read, and written so that it is read again`(text: String, written: String) throws {
        let rule = try EgressRule(parsing: text)
        #expect(rule.description == written)
        #expect(try EgressRule(parsing: written) == rule)
    }

    @Test(arguments: [
        "", ":80", "/tcp", "com", "localhost", "localhost:80", ".com", "example.com.", "a..b", "-a.b", "a-.b",
        "a b.c",
        "exämple.com", "Example.com", "10.0.0", "10.0.0.256", "1.2.3.4.5", "10.0.0.0/33", "10.0.0.0/", "::1/129",
        "example.com/sctp", "example.com/tcp/udp", "a,b.c", "a/b.c", "a#b.c", "a.b\nc.d", "[example.com", "[]:80",
    ])
    func `what is none is refused, with an example`(text: String) throws {
        #expect(try #require(fault(text)).contains("example.com:443"))
    }

    @Test(arguments: [
        ":", "example.com:", "example.com:0", "example.com:65536", "example.com:9-8", "example.com:1-2-3",
        "example.com:+1",
        "example.com:80-", "[::1]80", "[::1]:", "10.0.0.0:99999999999999999999",
    ])
    func `ports that are none are told`(text: String) throws {
        #expect(try #require(fault(text)).contains("ports are written as"))
    }

    @Test func `a star is not needed`() throws {
        #expect(try #require(fault("*.example.com:443")).contains("write example.com"))
        let label = String(repeating: "a", count: 63)
        #expect(fault("\(label).\(label)") == nil)
        #expect(fault("\(label)a.com") != nil)
        #expect(fault("\(label).\(label).\(label).\(label)") != nil)
    }

    @Test func `domains are told once`() throws {
        let rules = try ["a.b:80", "10.0.0.0/8", "c.d", "a.b:443"].map { try EgressRule(parsing: $0) }
        #expect(EgressPolicy(rules).domains == ["a.b", "c.d"])
    }
}
