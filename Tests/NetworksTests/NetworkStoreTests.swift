import AgentProtocol
import FabricProtocol
import HostFiles
import LinuxCalls
import Testing

@testable import Networks

struct NetworkStoreTests {
    private let data = "/tmp/networks-\(UInt32.random(in: .min ... .max))"
    private var store: NetworkStore { NetworkStore(data: data) }

    private func wish(_ subnets: String..., change: (inout NetworkStore.Wish) -> Void = { _ in }) -> NetworkStore.Wish {
        var wish = NetworkStore.Wish()
        wish.prefixes = subnets.compactMap { NetworkPrefix($0) }
        change(&wish)
        return wish
    }

    private func code(_ body: () throws(NetworkError) -> Void) -> NetworkError.Code? {
        do throws(NetworkError) { try body() } catch { return error.code }
        return nil
    }

    @Test func `what a network reaches is changed, or stays where nobody can be told`() throws {
        for name in ["lan", "dmz"] { try store.create(name, wish()) }
        try store.create("acme", wish { $0.tenant = "acme" })
        try store.create("beta", wish { $0.tenant = "beta" })
        try store.create("led", wish("10.0.1.0/24") { $0.gateways = [IPAddress(v4: 10, 0, 1, 1)] })
        func change(_ name: String, _ reaching: [String], not: [String] = []) throws {
            _ = try store.update(name, reaching: reaching, notReaching: not) {}
        }
        try change("lan", ["dmz", "dmz"])
        #expect(try store.find("lan").reachableNetworks == ["dmz"])
        #expect(throws: NetworkError.self) {
            try store.update("lan", reaching: [], notReaching: ["dmz"]) {
                #expect(try store.find("lan").reachableNetworks.isEmpty)
                throw NetworkError(.unusableFolder, "nobody is told")
            }
        }
        #expect(try store.find("lan").reachableNetworks == ["dmz"])
        #expect(code { () throws(NetworkError) in try store.remove("dmz") { [] } } == .inUse)
        try change("lan", ["acme"], not: ["dmz"])
        #expect(try store.find("lan").reachableNetworks == ["acme"])
        for (name, reached, not) in [
            ("lan", "lan", ""), ("lan", "none", ""), ("lan", "wan", ""), ("lan", "led", ""), ("led", "lan", ""),
            ("acme", "beta", ""), ("dmz", "", "lan"), ("lan", "acme", "acme"),
        ] {
            let before = try store.find(name)
            #expect(throws: NetworkError.self) {
                try change(name, reached.isEmpty ? [] : [reached], not: not.isEmpty ? [] : [not])
            }
            #expect(try store.find(name) == before)
        }
    }

    @Test func `networks get numbers and subnets of their own`() throws {
        let first = try store.create("first", wish())
        let second = try store.create("second", wish { $0.hasIPv6 = true })
        let third = try store.create("third", wish("10.190.2.0/23", "fd00:1::/64"))
        let fourth = try store.create("fourth", wish())
        #expect([first, second, third, fourth].map(\.number) == [1, 2, 3, 4])
        #expect(first.prefixes == ["10.190.0.0/24"])
        #expect(second.prefixes.count == 2 && second.prefixes[0] == "10.190.1.0/24")
        #expect(second.prefixes[1].hasPrefix("fd") && second.prefixes[1].hasSuffix("::/64"))
        #expect(third.prefixes == ["10.190.2.0/23", "fd00:1::/64"])
        #expect(fourth.prefixes == ["10.190.4.0/24"])
        #expect(store.list().map(\.name) == ["first", "fourth", "second", "third"])
        try store.remove("second") { [] }
        #expect(try store.create("fifth", wish()).number == 2)
        #expect(try store.find("third") == third)
    }

    @Test func `what cannot be is refused, and nothing is left of it`() throws {
        try store.create("lan", wish("10.1.0.0/16"))
        #expect(code { () throws(NetworkError) in _ = try store.create("lan", wish()) } == .duplicateName)
        #expect(code { () throws(NetworkError) in _ = try store.create("other", wish("10.1.2.0/24")) } == .overlap)
        #expect(code { () throws(NetworkError) in _ = try store.create("other", wish("10.0.0.0/8")) } == .overlap)
        #expect(
            code { () throws(NetworkError) in _ = try store.create("other", wish("10.2.0.0/31")) } == .invalidSetting)
        for name in ["", "-a", "A", "none", "tap", "a.b", String(repeating: "a", count: 33)] {
            #expect(code { () throws(NetworkError) in _ = try store.create(name, wish()) } == .invalidSetting)
        }
        let unknown = wish { $0.reachableNetworks = ["dmz"] }
        #expect(code { () throws(NetworkError) in _ = try store.create("other", unknown) } == .unknown)
        let short = wish { $0.maximumTransmissionUnit = 100 }
        #expect(code { () throws(NetworkError) in _ = try store.create("other", short) } == .invalidSetting)
        #expect(store.list().map(\.name) == ["lan"])
    }

    @Test(arguments: [
        "0.0.0.0/0", "0.0.0.0/8", "127.0.0.0/8", "127.1.2.0/24", "126.0.0.0/7", "169.254.0.0/16", "169.254.9.0/24",
        "224.0.0.0/4", "239.1.0.0/16", "240.0.0.0/8", "255.255.255.0/24", "10.189.255.0/24", "10.189.255.128/30",
        "10.188.0.0/14", "::/0", "::/96", "::1/64", "fe80::/64", "fe80:1::/32", "fe00::/7",
        "ff02::/16", "ff00::/8",
    ])
    func `addresses that no machine can have are refused`(subnet: String) throws {
        do throws(NetworkError) {
            try store.create("odd", wish(subnet))
            Issue.record("\(subnet) is taken")
        } catch {
            #expect(error.code == .invalidSetting && error.message.contains("no network can have"), "\(error.message)")
        }
        #expect(store.list().isEmpty)
        // One that was made before is told of when a machine is to come into it.
        let prefix = try #require(NetworkPrefix(subnet))
        var record = try store.create("old", wish())
        record.prefixes = [prefix.description]
        #expect(code { () throws(NetworkError) in _ = try record.addresses(wanted: [], taken: []) } == .invalidSetting)
    }

    @Test(arguments: [
        "10.0.0.0/16", "192.168.0.0/16", "172.16.0.0/12", "11.0.0.0/8", "100.64.0.0/10", "fd00::/12", "2001:db8::/32",
    ])
    func `addresses beside them are taken`(subnet: String) throws { try store.create("lan", wish(subnet)) }

    @Test func `a network that is used stays`() throws {
        try store.create("dmz", wish())
        try store.create("inside", wish { $0.reachableNetworks = ["dmz"] })
        #expect(code { () throws(NetworkError) in try store.remove("dmz") { [] } } == .inUse)
        #expect(code { () throws(NetworkError) in try store.remove("inside") { ["web"] } } == .inUse)
        try store.remove("inside") { [] }
        try store.remove("dmz") { [] }
        #expect(store.list().isEmpty)
        #expect(code { () throws(NetworkError) in try store.remove("dmz") { [] } } == .unknown)
    }

    @Test func `who uses a network is asked for when nobody can come into it any more`() throws {
        try store.create("lan", wish())
        try store.remove("lan") {
            // Whoever is to come into it would wait.
            do throws(LinuxError) {
                let file = try LinuxCalls.open("\(data)/networks/.lock", .readWrite)
                try lockFile(file.number)
                Issue.record("the networks are not locked")
            } catch { #expect(error == .tryAgain) }
            return []
        }
    }

    @Test func `a record that cannot be read goes by force`() throws {
        try store.create("lan", wish())
        try HostPath("\(data)/networks/lan/network.json").replaceWhole(Array("{".utf8))
        #expect(code { () throws(NetworkError) in _ = try store.find("lan") } == .damaged)
        #expect(code { () throws(NetworkError) in try store.remove("lan") { [] } } == .damaged)
        try store.remove("lan", isForced: true) { [] }
        #expect(store.list().isEmpty)
    }

    @Test func `addresses are the lowest that are free, until none is`() throws {
        let network = try store.create("small", wish("10.9.0.0/29", "fd00:9::/64"))
        var taken: Set<IPAddress> = []
        for place in UInt8(2)...6 {
            let addresses = try network.addresses(wanted: [], taken: taken)
            #expect(addresses.map(\.description) == ["10.9.0.\(place)", "fd00:9::\(place)"])
            taken.formUnion(addresses)
        }
        #expect(code { () throws(NetworkError) in _ = try network.addresses(wanted: [], taken: taken) } == .exhausted)
        taken.remove(IPAddress(v4: 10, 9, 0, 4))
        #expect(try network.addresses(wanted: [], taken: taken)[0].description == "10.9.0.4")
    }

    @Test(arguments: [
        ("10.9.0.9", NetworkError.Code.invalidSetting), ("10.9.0.1", .invalidSetting), ("10.9.0.0", .invalidSetting),
        ("10.9.0.7", .invalidSetting), ("fd00::1", .invalidSetting), ("10.9.0.3", .inUse),
    ])
    func `an address that cannot be had is refused`(text: String, expected: NetworkError.Code) throws {
        let network = try store.create("small", wish("10.9.0.0/29"))
        let wanted = try #require(IPAddress(text))
        let taken: Set = [IPAddress(v4: 10, 9, 0, 3)]
        #expect(
            code { () throws(NetworkError) in _ = try network.addresses(wanted: [wanted], taken: taken) } == expected)
        #expect(try network.addresses(wanted: [IPAddress(v4: 10, 9, 0, 5)], taken: taken)[0].description == "10.9.0.5")
    }

    @Test func `networks of two tenants do not reach each other, those of nobody do`() throws {
        let first = try store.create("one", wish { $0.tenant = "acme" })
        let second = try store.create("two", wish { $0.tenant = "beta" })
        let shared = try store.create("shared", wish())
        #expect(try store.find("one").tenant == "acme" && shared.tenant == nil)
        #expect(code { () throws(NetworkError) in try first.checkMeeting(second) } == .otherTenant)
        for other in [first, shared] {
            #expect(code { () throws(NetworkError) in try first.checkMeeting(other) } == nil)
        }
        #expect(code { () throws(NetworkError) in try shared.checkMeeting(second) } == nil)
        let reaching = wish {
            $0.tenant = "beta"
            $0.reachableNetworks = ["shared", "one"]
        }
        #expect(code { () throws(NetworkError) in _ = try store.create("three", reaching) } == .otherTenant)
        #expect(store.list().map(\.name) == ["one", "shared", "two"])
        let named = wish { $0.tenant = "Acme Inc" }
        #expect(code { () throws(NetworkError) in _ = try store.create("three", named) } == .invalidSetting)
    }

    @Test func `a network may be led out of by a machine, or by nobody`() throws {
        let gateways = ["10.9.0.6", "fd00:9::1"].compactMap { IPAddress($0) }
        let led = try store.create("led", wish("10.9.0.0/29", "fd00:9::/64") { $0.gateways = gateways })
        #expect(!led.reachesOutside && led.fabricNetwork(nameServers: []).gateways == gateways)
        #expect(try store.find("led") == led)
        // The same addresses once more, and the gateway's for who asks for it, in both families.
        let lone = try store.create("lone", wish("10.9.0.0/29") { $0.gateways = [] })
        #expect(lone.gatewayAddresses.isEmpty && !lone.isRouted)
        #expect(try led.addresses(wanted: [gateways[0]], taken: []) == gateways)
        #expect(try led.addresses(wanted: [gateways[1]], taken: []) == gateways)
        #expect(
            code { () throws(NetworkError) in _ = try led.addresses(wanted: [gateways[0]], taken: [gateways[0]]) }
                == .inUse)
        var taken: Set<IPAddress> = []
        for place in UInt8(1)...5 {
            let addresses = try led.addresses(wanted: [], taken: taken)
            #expect(addresses.map(\.description) == ["10.9.0.\(place)", "fd00:9::\(place + 1)"])
            taken.formUnion(addresses)
        }
        #expect(code { () throws(NetworkError) in _ = try led.addresses(wanted: [], taken: taken) } == .exhausted)
        #expect(try lone.addresses(wanted: [], taken: [])[0].description == "10.9.0.1")
        // Of those that the fabric leads to each has its own.
        try store.create("own", wish("10.9.0.0/24"))
        #expect(code { () throws(NetworkError) in _ = try store.create("other", wish("10.9.0.0/25")) } == .overlap)
    }

    @Test func `a gateway that cannot be is told, with what can`() throws {
        try store.create("lone", wish { $0.gateways = [] })
        func told(_ name: String, _ wish: NetworkStore.Wish) -> String {
            do throws(NetworkError) { try store.create(name, wish) } catch { return error.message }
            return ""
        }
        func led(_ gateway: String, _ subnets: String...) -> NetworkStore.Wish {
            wish { wish in
                wish.prefixes = subnets.compactMap { NetworkPrefix($0) }
                wish.gateways = gateway.split(separator: " ").compactMap { IPAddress(String($0)) }
            }
        }
        #expect(told("a", led("10.8.0.1")).contains("--subnet 10.8.0.0/24"))
        #expect(told("a", led("fd00:8::1", "10.8.0.0/24")).contains("--subnet fd00:8::/64"))
        for gateway in ["10.8.1.1", "10.8.0.0", "10.8.0.255"] {
            #expect(told("a", led(gateway, "10.8.0.0/24")).contains("choose another one (--gateway)"), "\(gateway)")
        }
        #expect(told("a", led("10.8.0.1 10.8.0.2", "10.8.0.0/24")).contains("one gateway of IPv4"))
        var closed = led("10.8.0.1", "10.8.0.0/24")
        closed.reachesOutside = false
        #expect(told("a", closed).contains("--isolated"))
        #expect(told("a", wish { $0.reachableNetworks = ["lone"] }).contains("by itself"))
        #expect(store.list().map(\.name) == ["lone"])
    }

    @Test func `commands at once get different numbers and subnets`() async throws {
        let store = store
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<20 {
                group.addTask { _ = try? store.create("net-\(number)", NetworkStore.Wish()) }
            }
        }
        let all = store.list()
        #expect(all.count == 20 && Set(all.map(\.number)).count == 20 && Set(all.flatMap(\.prefixes)).count == 20)
    }
}
