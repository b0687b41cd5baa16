import AgentProtocol
import FabricProtocol
import Testing

@Suite struct AddressTests {
    @Test(arguments: [
        ("10.190.1.0/24", "10.190.1.0/24"), ("10.190.1.77/24", "10.190.1.0/24"), ("10.190.1.77/30", "10.190.1.76/30"),
        ("10.190.1.77/31", "10.190.1.76/31"), ("10.190.1.77/32", "10.190.1.77/32"), ("255.255.255.255/0", "0.0.0.0/0"),
        ("10.255.255.255/9", "10.128.0.0/9"), ("fd00:1:2:3:ffff::1/64", "fd00:1:2:3::/64"),
        ("fd00::1/128", "fd00::1/128"),
        ("ffff::/0", "::/0"), ("fd00::ffff/113", "fd00::8000/113"),
    ])
    func `a prefix has zeros behind its length`(text: String, written: String) throws {
        let prefix = try #require(NetworkPrefix(text))
        #expect(prefix.description == written)
        #expect(NetworkPrefix(written) == prefix)
    }

    @Test(arguments: [
        "", "/", "10.0.0.0", "10.0.0.0/", "/24", "10.0.0.0/33", "10.0.0.0/256", "10.0.0.0/1000", "10.0.0.0/-1",
        "10.0.0.0/+8", "10.0.0.0/8/8", "10.0.0.0/ 8", "10.0.0/8", "010.0.0.0/8", "10.0.0.0/x", "10.0.0.0/８",
        "fd00::/129", "fd00:::/64", "fd00::%1/64", "::ffff:10.0.0.1/96", "net/8", "10.0.0.0/8\n",
    ])
    func `what is no prefix is none`(text: String) { #expect(NetworkPrefix(text) == nil) }

    @Test func `a length behind the address's end is none`() {
        #expect(NetworkPrefix(IPAddress(v4: 10, 0, 0, 0), length: 33) == nil)
        #expect(NetworkPrefix(IPAddress(v4: 10, 0, 0, 0), length: 255) == nil)
    }

    @Test(arguments: [
        ("10.1.0.0/16", "10.1.255.255", true), ("10.1.0.0/16", "10.2.0.0", false),
        ("10.1.0.0/16", "10.0.255.255", false),
        ("10.1.1.4/30", "10.1.1.7", true), ("10.1.1.4/30", "10.1.1.8", false), ("10.1.1.4/32", "10.1.1.5", false),
        ("0.0.0.0/0", "255.255.255.255", true), ("0.0.0.0/0", "::", false), ("::/0", "0.0.0.0", false),
        ("::/0", "ffff::", true), ("fd00::/64", "fd00::ffff:ffff:ffff:ffff", true),
        ("fd00::/64", "fd00:0:0:1::", false),
        ("a00::/8", "10.0.0.0", false),
    ])
    func `a prefix contains what begins like it`(prefix: String, address: String, isIn: Bool) throws {
        #expect(try #require(NetworkPrefix(prefix)).contains(try #require(IPAddress(address))) == isIn)
    }

    @Test(arguments: [
        ("10.0.0.0/8", "10.1.0.0/16", true), ("10.1.0.0/16", "10.1.0.0/16", true),
        ("10.1.0.0/16", "10.2.0.0/16", false),
        ("0.0.0.0/0", "192.168.0.0/24", true), ("0.0.0.0/0", "::/0", false), ("fd00::/48", "fd00:0:0:5::/64", true),
        ("fd00::/64", "fd00:0:0:1::/64", false), ("10.0.0.0/31", "10.0.0.2/31", false),
    ])
    func `prefixes overlap either way`(one: String, other: String, overlap: Bool) throws {
        let (one, other) = (try #require(NetworkPrefix(one)), try #require(NetworkPrefix(other)))
        #expect(one.overlaps(other) == overlap)
        #expect(other.overlaps(one) == overlap)
    }

    @Test(
        arguments: [
            ("10.0.0.0/24", 255, "10.0.0.255"), ("10.0.0.0/24", 256, nil), ("10.0.0.4/30", 3, "10.0.0.7"),
            ("10.0.0.4/30", 4, nil), ("10.0.0.4/31", 1, "10.0.0.5"), ("10.0.0.4/32", 0, "10.0.0.4"),
            ("10.0.0.4/32", 1, nil),
            ("0.0.0.0/0", 0xffff_ffff, "255.255.255.255"), ("0.0.0.0/0", 0x1_0000_0000, nil),
            ("fd00::/64", .max, "fd00::ffff:ffff:ffff:ffff"), ("fd00::/65", 1 << 63, nil),
            ("::/0", .max, "::ffff:ffff:ffff:ffff"),
            ("fd00::5/128", 0, "fd00::5"), ("fd00::5/128", 1, nil), ("10.0.0.0/8", 65_536, "10.1.0.0"),
        ] as [(String, UInt64, String?)])
    func `a place in a network is an address up to its end`(prefix: String, place: UInt64, address: String?) throws {
        #expect(try #require(NetworkPrefix(prefix)).address(place)?.description == address)
    }

    @Test(
        arguments: [
            ("10.0.0.0/24", "10.0.0.1", "10.0.0.255", 8), ("10.0.0.4/30", "10.0.0.5", "10.0.0.7", 2),
            ("10.0.0.4/32", nil, nil, 0), ("0.0.0.0/0", "0.0.0.1", "255.255.255.255", 32),
            ("fd00::/64", "fd00::1", nil, 64),
            ("fd00::5/128", nil, nil, 0),
        ] as [(String, String?, String?, Int)])
    func `a network has a gateway, and of IPv4 a broadcast`(
        text: String, gateway: String?, broadcast: String?, hostBits: Int
    ) throws {
        let prefix = try #require(NetworkPrefix(text))
        #expect(prefix.gateway?.description == gateway)
        #expect(prefix.broadcast?.description == broadcast)
        #expect(prefix.hostBits == hostBits)
    }

    @Test func `a station's address is read in either case and written in one`() {
        #expect(HardwareAddress.bytes("02:00:5E:10:aF:01") == [2, 0, 0x5e, 0x10, 0xaf, 1])
        #expect(HardwareAddress.text([2, 0, 0x5e, 0x10, 0xaf, 1]) == "02:00:5e:10:af:01")
    }

    @Test(arguments: [
        "", "02:00:5e:10:00", "02:00:5e:10:00:01:", "02-00-5e-10-00-01", "02:00:5e:10:00:0g", "01:00:5e:00:00:01",
        "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00", "2:00:5e:10:00:001", "02:00:5e:10:00:01\n",
    ])
    func `what is no single station's address is none`(text: String) { #expect(HardwareAddress.bytes(text) == nil) }

    @Test func `names are lower-case labels of their length`() {
        for name in ["a", "0", "web-1", "a--b"] {
            #expect(FabricNetwork.isName(name) && FabricPort.isName(name), "\(name)")
        }
        for name in ["", "-", "-a", "a-", "A", "a.b", "a_b", "a b", "ä", "a\n", "a\"", "a;b"] {
            #expect(!FabricNetwork.isName(name) && !FabricPort.isName(name), "\(name)")
        }
        #expect(FabricNetwork.isName(String(repeating: "a", count: 32)))
        #expect(!FabricNetwork.isName(String(repeating: "a", count: 33)))
        #expect(FabricPort.isName(String(repeating: "a", count: 63)))
        #expect(!FabricPort.isName(String(repeating: "a", count: 64)))
    }
}
