import AgentProtocol
import Foundation
import LinuxCalls
import Testing

/// A real agent that becomes another machine, in namespaces of its own: its mounts, host name and network are no others'.
@Suite(.serialized, .enabled(if: getuid() == 0, "changes a machine in namespaces of its own: needs root"))
struct IdentityTests {
    /// `/etc` and `/run` of its own, and an interface `eth0` that has addresses and a route.
    private static let preparation = """
        mount -t tmpfs none /run
        mkdir /run/etc /run/etc/swiftlet /run/etc/swiftlet/cloned.d
        cp /etc/passwd /etc/group /run/etc
        echo 0123456789abcdef0123456789abcdef > /run/etc/machine-id
        mount --bind /run/etc /etc
        ip link set lo up
        ip link add name eth0 address 02:00:00:00:00:01 type veth peer name peer0
        ip link set eth0 up
        ip link set peer0 up
        ip address add 10.1.0.2/24 dev eth0
        ip address add 10.1.0.3/24 dev eth0
        ip address add 10.9.0.2/16 dev eth0
        ip -6 address add fd00:1::2/64 dev eth0 nodad
        ip route add default via 10.1.0.1 dev eth0
        """

    private static func identity() -> Identity {
        var identity = Identity()
        identity.hostName = "clone-7"
        identity.machineID = [UInt8](16..<32)
        identity.seed = [UInt8](repeating: 7, count: 64)
        identity.realTimeNanoseconds = Clock.realTime.nanoseconds()
        identity.generation = [UInt8](0xa0..<0xb0)
        return identity
    }

    private func agent(_ more: String = "true") throws -> TestAgent {
        try TestAgent(isolation: Self.preparation + "\n" + more)
    }

    private func become(_ identity: Identity, _ control: TestControl) throws -> AgentMessage {
        try control.send(.identity(identity), id: 5)
        return try control.next().message
    }

    private func output(_ agent: TestAgent, _ script: String) throws -> String {
        try agent.run(start("sh", "-c", ByteString(script))).output
    }

    @Test func namesAndNumbersAreTheClonesOwn() throws {
        let agent = try agent()
        let control = try agent.control()
        var configuration = Configuration()
        configuration.standardMounts = []
        configuration.hostName = "original"
        try control.send(.configure(configuration))
        #expect(try control.next().message == .configured)
        let before = try output(agent, "cat /proc/sys/kernel/random/boot_id")
        var identity = Self.identity()
        identity.nameServers = [IPAddress(v4: 10, 2, 0, 53)]
        identity.hostEntries = [HostEntry(IPAddress(v4: 10, 2, 0, 9), "neighbour")]
        identity.interfaces = [
            Interface(name: "eth0", addresses: [.init(IPAddress(v4: 10, 2, 0, 7), prefixLength: 24)])
        ]
        #expect(try become(identity, control) == .configured)
        let files = "/etc/machine-id /run/swiftlet/generation /etc/hostname /etc/resolv.conf"
        #expect(
            try output(agent, "hostname; cat \(files)") == """
                clone-7
                101112131415161718191a1b1c1d1e1f
                a0a1a2a3a4a5a6a7a8a9aaabacadaeaf
                clone-7
                nameserver 10.2.0.53

                """)
        let hosts = try output(agent, "cat /etc/hosts")
        #expect(hosts.contains("10.2.0.7\tclone-7\n") && hosts.contains("neighbour") && !hosts.contains("original"))
        let boot = try output(agent, "cat /proc/sys/kernel/random/boot_id")
        #expect(boot != before && boot.count == 37)
        #expect(boot.dropFirst(14).first == "4" && boot.split(separator: "-").map(\.count) == [8, 4, 4, 4, 13])
        // A clone of a clone: another number, and no second mount above the first.
        #expect(try become(Self.identity(), control) == .configured)
        #expect(try output(agent, "cat /proc/sys/kernel/random/boot_id") != boot)
        #expect(try output(agent, "grep -c boot_id /proc/self/mounts") == "1\n")
    }

    @Test func whatAnIdentityLeavesOutStays() throws {
        let agent = try agent("hostname kept")
        let control = try agent.control()
        #expect(try become(Identity(), control) == .configured)
        #expect(
            try output(agent, "hostname; cat /etc/machine-id; ls /etc; ip -4 -o address show eth0 | wc -l")
                == "kept\n0123456789abcdef0123456789abcdef\ngroup\nmachine-id\npasswd\nswiftlet\n3\n")
    }

    @Test func anImageWithoutAMachineIDGetsNone() throws {
        let agent = try agent("rm /etc/machine-id")
        #expect(try become(Self.identity(), try agent.control()) == .configured)
        #expect(try output(agent, "ls /etc") == "group\npasswd\nswiftlet\n")
    }

    @Test func aRootThatCannotBeWrittenShowsTheNewNumberAllTheSame() throws {
        let agent = try agent("mount -o remount,bind,ro /etc")
        let control = try agent.control()
        for first: UInt8 in [16, 32] {
            var identity = Self.identity()
            identity.machineID[0] = first
            #expect(try become(identity, control) == .configured)
            #expect(try output(agent, "cut -c 1-4 /etc/machine-id") == (first == 16 ? "1011\n" : "2011\n"))
        }
    }

    @Test func interfacesLoseWhatTheyHadAndGetTheClones() throws {
        let agent = try agent()
        var identity = Self.identity()
        identity.interfaces = [
            Interface(
                name: "eth0", newName: "web", hardwareAddress: [2, 0, 0, 0, 0, 0x77],
                addresses: [
                    .init(IPAddress(v4: 10, 2, 0, 7), prefixLength: 24),
                    .init(
                        try #require(IPAddress(networkOrder: [0xfd] + [UInt8](repeating: 0, count: 14) + [7])),
                        prefixLength: 64),
                ],
                routes: [.init(to: IPAddress(v4: 0, 0, 0, 0), prefixLength: 0, via: IPAddress(v4: 10, 2, 0, 1))])
        ]
        let control = try agent.control()
        // The second time it is found by the name that the first has given it.
        for last: UInt8 in [7, 8] {
            identity.interfaces[0].addresses[0].address = IPAddress(v4: 10, 2, 0, last)
            #expect(try become(identity, control) == .configured)
            let link = try output(agent, "ip -o link show web")
            #expect(link.contains("02:00:00:00:00:77") && link.contains(",UP"))
            let addresses = try output(
                agent, "ip -o address show web | sed 's/.*inet/inet/; s/ *scope.*//; s/ brd.*//' | sort")
            #expect(addresses.contains("inet 10.2.0.\(last)/24") && addresses.contains("inet6 fd00::7/64"))
            #expect(!addresses.contains("10.1.0") && !addresses.contains("10.9.0") && !addresses.contains("fd00:1"))
            let routes = try output(agent, "ip route")
            #expect(routes.contains("default via 10.2.0.1") && !routes.contains("10.1.0") && !routes.contains("10.9"))
        }
    }

    @Test func oneThatGetsNoAddressIsAsItWas() throws {
        let agent = try agent("ip link add name off type veth peer name peer1")
        var identity = Self.identity()
        identity.interfaces = ["eth0", "off"].map {
            Interface(name: $0, hardwareAddress: [2, 0, 0, 0, 1, UInt8($0.count)])
        }
        #expect(try become(identity, try agent.control()) == .configured)
        let links = try output(agent, "ip -o link show")
        #expect(links.contains("02:00:00:00:01:04") && links.contains("02:00:00:00:01:03"))
        #expect(try output(agent, "ip -o link show up | grep -c -e ': eth0@' -e ': off@'") == "1\n")
        #expect(try output(agent, "ip -4 -o address show eth0") == "")
    }

    @Test func anInterfaceThatIsNotThereIsNamed() throws {
        let agent = try agent()
        var identity = Self.identity()
        identity.interfaces = [Interface(name: "nowhere")]
        guard case .failure(let failure) = try become(identity, try agent.control()) else {
            throw LinuxError.protocolError
        }
        #expect(failure.code == .network && failure.text.description.contains("nowhere"))
    }

    @Test func hooksRunInTheOrderOfTheirNamesAndEndInTime() throws {
        let agent = try agent(
            """
            cd /etc/swiftlet/cloned.d
            printf '#!/bin/sh\necho second $SWIFTLET_GENERATION $(cat /run/swiftlet/generation) >> /run/hooks\n' > 20-second
            printf '#!/bin/sh\necho first $HOSTNAME >> /run/hooks\n' > 10-first
            printf '#!/bin/sh\necho slow >> /run/hooks; sleep 60; echo never >> /run/hooks\n' > 15-slow
            printf 'not a program' > 16-text
            printf '#!/bin/sh\necho hidden >> /run/hooks\n' > .hidden
            chmod +x 10-first 15-slow 20-second .hidden
            mkdir 17-folder
            cd /
            """)
        let control = try agent.control()
        let begin = Clock.monotonic.nanoseconds()
        try control.send(.hold(patienceMilliseconds: 5000), id: 1)
        guard case .held = try control.next().message else { throw LinuxError.protocolError }
        // In one go: the release waits for the hooks.
        try control.send(.identity(Self.identity()), id: 2)
        try control.send(.release, id: 3)
        let first = try control.next()
        #expect(first.id == 2 && first.message == .configured)
        #expect(Clock.monotonic.nanoseconds() - begin > 4_900_000_000)
        let second = try control.next()
        #expect(second.id == 3 && second.message == .configured)
        let generation = "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"
        #expect(
            try output(agent, "cat /run/hooks")
                == "first clone-7\nslow\nsecond \(generation) \(generation)\n")
    }
}
