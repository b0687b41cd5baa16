import Testing

@testable import AgentProtocol

@Suite struct IPAddressTests {
    @Test(arguments: [
        ("10.0.2.15", "10.0.2.15"), ("0.0.0.0", "0.0.0.0"), ("255.255.255.255", "255.255.255.255"),
        ("::", "::"), ("::1", "::1"), ("1::", "1::"), ("fd00::1", "fd00::1"), ("FD00:0:0:0:0:0:0:1", "fd00::1"),
        ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"), ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
        ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
        ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
    ])
    func addressesAreReadAndWrittenAsPeopleWriteThem(text: String, canonical: String) {
        #expect(IPAddress(text)?.description == canonical)
    }

    @Test(arguments: [
        "", ".", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.04", "1.2.3.", "a.b.c.d", "1.2.3.4/24", ":", ":::", "1:2",
        "1::2::3", "12345::", "1:2:3:4:5:6:7:8:9", "::1:", "g::", "1:2:3:4:5:6:7:8::", "1.2.3.4:80",
    ])
    func otherTextIsRefused(text: String) { #expect(IPAddress(text) == nil) }

    @Test func everyAddressSurvivesItsText() {
        var generator = SeededGenerator(seed: 3)
        for _ in 0..<2000 {
            var bytes = generator.bytes(generator.boolean() ? 4 : 16)
            for index in bytes.indices where generator.below(3) != 0 { bytes[index] = 0 }
            let address = IPAddress(networkOrder: bytes)
            #expect(address != nil && address.flatMap { IPAddress($0.description) } == address)
        }
    }
}
