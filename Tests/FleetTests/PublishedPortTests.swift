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
        ("127.0.0.1:8080:80", "127.0.0.1:8080:80/tcp"), ("0.0.0.0:8080:80", "8080:80/tcp"),
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
        "::1:80:80", "8080 : 80",
    ])
    func `what is none is refused, with an example`(text: String) throws {
        #expect(try #require(fault(text)).contains("8080:80"))
    }

    @Test func `what is wrong with others is said`() throws {
        #expect(try #require(fault("80-82:80-81")).contains("3 ports of this computer cannot lead to 2"))
        #expect(try #require(fault("1-1025:1-1025")).contains("at most 1024"))
        #expect(try #require(fault("[::1]:80:80")).contains("addresses of IPv4"))
    }

    @Test func `this computer's part names it, too`() throws {
        let published = try PublishedPort(parsing: "127.0.0.1:5353:53/udp")
        for name in ["5353/udp", "127.0.0.1:5353/udp", "127.0.0.1:5353:53/udp"] { #expect(published.isCalled(name)) }
        for name in ["5353", "53/udp", "5353:53/udp", "10.0.0.1:5353/udp", "5353-5354/udp", "", "/udp", "x:5353/udp"] {
            #expect(!published.isCalled(name), "\(name)")
        }
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
