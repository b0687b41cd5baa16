import FabricProtocol
import Testing

@testable import Fleet

private func fault(_ text: String) -> String? {
    do throws(FleetError) {
        _ = try PublishedPort(parsing: text)
        return nil
    } catch { return error.message }
}

@Suite struct PublishedPortTests {
    @Test(arguments: [
        ("8080:80", "8080:80/tcp"), ("8080:80/TCP", "8080:80/tcp"), ("5353:53/udp", "5353:53/udp"),
        ("127.0.0.1:8080:80", "127.0.0.1:8080:80/tcp"), ("0.0.0.0:8080:80", "0.0.0.0:8080:80/tcp"),
        ("[::1]:8080:80", "[::1]:8080:80/tcp"), ("[::]:8080:80", "[::]:8080:80/tcp"),
        ("[2001:DB8:0::1]:443:443/tcp", "[2001:db8::1]:443:443/tcp"),
        ("[fd00::5]:8000-8009:80-89/udp", "[fd00::5]:8000-8009:80-89/udp"),
        ("8000-8009:80-89/udp", "8000-8009:80-89/udp"), ("1-1024:64512-65535", "1-1024:64512-65535/tcp"),
        ("7-7:8-8", "7:8/tcp"),
    ])
    func `a published port is read, and written so that it is read again`(text: String, written: String) throws {
        let published = try PublishedPort(parsing: text)
        #expect(published.description == written)
        #expect(try PublishedPort(parsing: written) == published)
        #expect(published.isCalled(text))
    }

    @Test(arguments: [
        "", ":", "80", "80:", ":80", "80:80/", "80:80/sctp", "80:80/tcp/udp", "a:80", "80:+80", "80:-80", "80:80-",
        "80:80:80:80", "0:80", "80:0", "80:65536", "90-80:90-80", "1-2-3:1-2-3", "host:80:80", "1.2.3:80:80",
        "::1:80:80", "8080 : 80", "[]:80:80", "[::1:80:80", "::1]:80:80", "[::1]80:80", "[::1]:80", "[::1]",
        "[::1]:80:80:80",
        "[127.0.0.1]:80:80", "[::1]x:80:80", "[[::1]]:80:80", "[::g]:80:80", "[fe80::1%eth0]:80:80", "[fe80::1]:80:80",
        "[ff02::1]:80:80", "[::ffff:7f00:1]:80:80", "80:[::1]:80",
    ])
    func `what is none is refused, with an example`(text: String) throws {
        #expect(try #require(fault(text)).contains("8080:80"))
    }

    @Test func `what is wrong with others is said`() throws {
        #expect(try #require(fault("80-82:80-81")).contains("3 ports of this computer cannot lead to 2"))
        #expect(try #require(fault("1-1025:1-1025")).contains("at most 1024"))
        #expect(try #require(fault("[fe80::1]:80:80")).contains("an address of a link alone"))
    }

    @Test func `this computer's part names it, too`() throws {
        let published = try PublishedPort(parsing: "127.0.0.1:5353:53/udp")
        for name in ["5353/udp", "127.0.0.1:5353/udp", "127.0.0.1:5353:53/udp"] { #expect(published.isCalled(name)) }
        for name in ["5353", "53/udp", "5353:53/udp", "10.0.0.1:5353/udp", "5353-5354/udp", "", "/udp", "x:5353/udp"] {
            #expect(!published.isCalled(name), "\(name)")
        }
    }

    @Test func `an address of IPv6 names it as it is written`() throws {
        let published = try PublishedPort(parsing: "[2001:db8::1]:5353:53/udp")
        for name in ["5353/udp", "[2001:db8::1]:5353/udp", "[2001:db8:0::1]:5353:53/udp"] {
            #expect(published.isCalled(name), "\(name)")
        }
        for name in ["[2001:db8::2]:5353/udp", "2001:db8::1:5353/udp", "[2001:db8::1]", "[]:5353/udp", "[::1]:5353"] {
            #expect(!published.isCalled(name), "\(name)")
        }
    }

    @Test(arguments: 1...4) func `whatever is said is refused, or written so that it is read again`(seed: UInt64) throws
    {
        var state = seed
        func draw(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        let pieces = [
            "[", "]", ":", "::", "::1", "2001:db8::1", "127.0.0.1", "0.0.0.0", "80", "8080", "-", "/tcp", "/udp", "é",
        ]
        let forms = [
            ["[", "::1", "]", ":", "80", ":", "80"], ["127.0.0.1", ":", "80", ":", "80", "/udp"], ["80", ":", "80"],
        ]
        var isTaken = false
        for _ in 0..<2000 {
            var words = forms[draw(forms.count)]
            for _ in 0..<draw(3) { words[draw(words.count)] = pieces[draw(pieces.count)] }
            let text = words.joined()
            guard let published = try? PublishedPort(parsing: text) else { continue }
            isTaken = true
            #expect(try PublishedPort(parsing: published.description) == published, "\(text)")
            #expect(published.isCalled(text), "\(text)")
        }
        #expect(isTaken)
    }

    @Test func `a machine has each port once, and is in a network`() throws {
        var specification = MachineSpecification()
        specification.command = ["true"]
        specification.published = [try PublishedPort(parsing: "8080:80")]
        #expect(throws: FleetError.self) { try specification.check() }
        specification.interfaces = [MachineInterface(.ownTap)]
        #expect(throws: FleetError.self) { try specification.check() }
        specification.interfaces.append(try MachineInterface(parsing: "lan"))
        try specification.check()
        specification.published.append(try PublishedPort(parsing: "127.0.0.1:8000-8080:1000-1080"))
        #expect(throws: FleetError.self) { try specification.check() }
        specification.published[1] = try PublishedPort(parsing: "8000-8080:1000-1080/udp")
        try specification.check()
        specification.published.append(try PublishedPort(parsing: "10000-10999:1000-1999"))
        #expect(throws: FleetError.self) { try specification.check() }
    }
}
