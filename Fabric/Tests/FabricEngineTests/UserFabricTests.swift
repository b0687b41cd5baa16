import AgentProtocol
import ChildPrograms
import FabricProtocol
import Foundation
import LinuxCalls
import Testing
import WireFormats

@testable import FabricEngine

@Suite(.enabled(if: mayRunUserEngines, Comment(rawValue: userEnginesTake)), .serialized)
struct UserFabricTests {
    private static let lan = network("lan", 1, "10.9.0.0/24")
    private static let two = change([lan], [port(1, "lan", "10.9.0.2"), port(2, "lan", "10.9.0.3")])
    private static let gateway = "02:53:77:00:00:01"

    private static func published(_ text: [PublishedPort?], to number: UInt16 = 1) -> FabricPort {
        var port = port(number, "lan", "10.9.0.\(number + 1)")
        port.published = text.compactMap { $0 }
        return port
    }

    private static let answering = """
        import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("", 53))
        while True: s.sendto(b"answer", s.recvfrom(64)[1])
        """
    private static let asking =
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(2); "
        + "s.sendto(b\"ask\", (\"203.0.113.5\", 5353)); assert s.recv(64) == b\"answer\""

    @Test func `a user's machines have names and addresses, reach each other, and send from nobody else's`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let fabric = try UserFabric()
                defer { fabric.end() }
                try fabric.set(Self.two)
                #expect(try fabric.guest("dhcp", "t1", "02:00:00:00:00:01") == "10.9.0.2 1500")
                #expect(
                    try fabric.inside("/usr/bin/dig", "+short", "+tries=20", "+time=1", "@10.9.0.1", "m2.lan.internal")
                        == "10.9.0.3")
                func sent(as source: String) throws -> String {
                    try fabric.guest(
                        "sent", "t1", "02:00:00:00:00:01", source, "t2", "02:00:00:00:00:02", "10.9.0.3")
                }
                #expect(try sent(as: "10.9.0.2") == "arrives")
                #expect(try sent(as: "10.9.0.9") == "nothing")
                #expect(
                    try fabric.inside("/usr/sbin/nft", "list", "table", "bridge", "swiftlet").contains(
                        "counter packets 4 "))
                // Who enters is who it was, and may change the fabric's network alone.
                #expect(try fabric.inside("/usr/bin/id", "-u") == "54321")
                #expect(try fabric.inside("/bin/grep", "CapEff", "/proc/self/status").hasSuffix("0000000000001000"))
                #expect(throws: FabricFault.self) { try fabric.inside("/bin/cat", "/etc/shadow") }
                // It is not root's, and root does not take it.
                #expect(try FileTree.facts(Array(fabric.folder.plan.utf8)).userID == 54321)
            })
    }

    @Test
    func `a user's machines reach out, and are reached where they are published, and nothing else of the computer`()
        async
    {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let fabric = try UserFabric()
                defer { fabric.end() }
                let outside = try Programs.start([
                    "/usr/bin/python3", "-m", "http.server", "--bind", "203.0.113.5", "--directory", "/run/other",
                    "8000",
                ])
                let alone = try Programs.start([
                    "/usr/bin/python3", "-m", "http.server", "--bind", "127.0.0.1", "--directory", "/run/other", "8001",
                ])
                defer { for process in [outside, alone] { try? Children.signal(process, SignalNumber.kill) } }
                let published = [
                    PublishedPort(.tcp, 8080...8080, to: 80),
                    PublishedPort(.tcp, on: IPAddress("127.0.0.1"), 8081...8081, to: 80),
                    PublishedPort(.udp, 5353...5353, to: 53),
                ]
                try fabric.set(change([Self.lan], [port(2, "lan", "10.9.0.3")]))
                try fabric.enter()
                let place = try Place(1, "10.9.0.2")
                try fabric.set(change([Self.lan], [Self.published(published)]))
                try place.shell("mkdir -p /run/www && echo here > /run/www/file")
                let server = try Programs.start([
                    "/usr/sbin/ip", "netns", "exec", "m1", "/usr/bin/python3", "-m", "http.server", "--directory",
                    "/run/www", "80",
                ])
                defer { try? Children.signal(server, SignalNumber.kill) }
                func computer(_ words: String) -> Bool {
                    succeeds("/usr/bin/nsenter", "-t", "\(fabric.holder ?? 0)", "-n", "/bin/sh", "-c", words)
                }
                try soon { computer("curl -sm 5 http://203.0.113.5:8080/file | grep -q here") }
                #expect(computer("curl -sm 5 http://127.0.0.1:8080/file | grep -q here"))
                #expect(computer("curl -sm 5 http://127.0.0.1:8081/file | grep -q here"))
                #expect(!computer("curl -sm 5 http://203.0.113.5:8081/file"))
                try place.shell("curl -sfm 20 --retry 20 --retry-connrefused -o /run/answer http://203.0.113.5:8000/")
                for loopback in ["10.189.255.2:8001", "127.0.0.1:8001"] {
                    #expect(throws: FabricFault.self) { try place.shell("curl -sfm 3 http://\(loopback)/") }
                }
                // A datagram, and its answer.
                let answering = try Programs.start([
                    "/usr/sbin/ip", "netns", "exec", "m1", "/usr/bin/python3", "-c", ByteString(Self.answering),
                ])
                defer { try? Children.signal(answering, SignalNumber.kill) }
                try soon { computer("python3 -c '\(Self.asking)'") }
                // One that is taken is named, and nothing is changed; those that are root's are refused.
                #expect {
                    try fabric.ask(
                        .change(change([Self.lan], [Self.published([PublishedPort(.tcp, 8000...8000, to: 80)], to: 2)]))
                    )
                } throws: { "\($0)".contains("8000/tcp of this computer is taken") }
                #expect {
                    try fabric.ask(
                        .change(change([Self.lan], [Self.published([PublishedPort(.tcp, 81...81, to: 80)], to: 2)])))
                } throws: { "\($0)".contains("those below 1024 are root's") }
                // Taken away again.
                try fabric.set(change([Self.lan], [Self.published([])]))
                #expect(!computer("curl -sm 5 http://127.0.0.1:8080/file"))
                // An isolated network leads nowhere.
                try fabric.set(change([network("lan", 1, "10.9.0.0/24") { $0.reachesOutside = false }]))
                #expect(throws: FabricFault.self) { try place.shell("curl -sfm 2 http://203.0.113.5:8000/") }
            })
    }

    @Test(arguments: ["engine", "holder", "engine holder", "way out"])
    func `whichever of a user's processes is killed, all goes on with the next change`(killed: String) async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) { [killed] in
                let fabric = try UserFabric()
                defer { fabric.end() }
                try fabric.set(change([Self.lan], [port(2, "lan", "10.9.0.3")]))
                try fabric.enter()
                let places = [try Place(1, "10.9.0.2"), try Place(3, "10.9.0.4")]
                try fabric.set(
                    change(
                        [Self.lan],
                        [Self.published([PublishedPort(.tcp, 8080...8080, to: 80)]), port(3, "lan", "10.9.0.4")]))
                #expect(places[0].reaches("10.9.0.4"))
                let before = (engine: fabric.engine, holder: fabric.holder, slirp: fabric.slirp(of: fabric.holder))
                let victims = [("engine", before.engine), ("holder", before.holder), ("way out", before.slirp)]
                for (name, process) in victims where killed.contains(name) {
                    try Children.signal(try #require(process), SignalNumber.kill)
                }
                #expect(places[0].reaches("10.9.0.4"))
                if killed.contains("engine") { try soon { fabric.engine == nil } }
                if killed.contains("holder") { try soon { fabric.slirp(of: before.holder) == nil } }
                if killed == "way out" { try soon { fabric.slirp(of: before.holder) != before.slirp } }
                try fabric.set(change([Self.lan], [port(4, "lan", "10.9.0.5")]))
                #expect(places[0].reaches("10.9.0.4"))
                #expect((fabric.engine == before.engine) == !killed.contains("engine"))
                #expect((fabric.holder == before.holder) == !killed.contains("holder"))
                // The same network, with a way out, and the port that was published.
                #expect(try fabric.inside("/usr/sbin/ip", "-br", "link", "show", "t1").contains("t1"))
                try soon {
                    (try? fabric.inside("/usr/sbin/ip", "route", "show", "default"))?.contains("via 10.189.255.2")
                        == true
                }
                let server = try Programs.start([
                    "/usr/sbin/ip", "netns", "exec", "m1", "/usr/bin/python3", "-m", "http.server", "80",
                ])
                defer { try? Children.signal(server, SignalNumber.kill) }
                try soon {
                    succeeds(
                        "/usr/bin/nsenter", "-t", "\(fabric.holder ?? 0)", "-n", "/usr/bin/curl", "-sfm", "5", "-o",
                        "/run/answer", "http://127.0.0.1:8080/")
                }
            })
    }

    @Test func `a way out that hangs holds up one change, and leads out again`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let fabric = try UserFabric()
                defer { fabric.end() }
                let published = Self.published([PublishedPort(.tcp, 8080...8080, to: 80)])
                try fabric.set(change([Self.lan], [published]))
                let hanging = try #require(fabric.slirp(of: fabric.holder))
                try Children.signal(hanging, SignalNumber.stop)
                #expect {
                    try fabric.ask(
                        .change(change([Self.lan], [Self.published([PublishedPort(.tcp, 8081...8081, to: 80)], to: 2)]))
                    )
                } throws: { "\($0)".contains("slirp4netns, by which ports are published, hung") }
                try soon { fabric.slirp(of: fabric.holder) != hanging }
                try fabric.set(
                    change([Self.lan], [Self.published([PublishedPort(.tcp, 8081...8081, to: 80)], to: 2)]))
                let listening = try run("/usr/bin/nsenter", "-t", "\(fabric.holder ?? 0)", "-n", "/usr/bin/ss", "-ltn")
                for port in [8080, 8081] { #expect(listening.contains("0.0.0.0:\(port)")) }
            })
    }

    @Test func `where nobody is left in it, the next machine has it anew, and others are known to be cut off`()
        async
    {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let fabric = try UserFabric()
                try fabric.set(Self.two)
                let names = NameServers.process(fabric.folder.names(1))
                let before = (holder: fabric.holder, slirp: fabric.slirp(of: fabric.holder))
                for process in [fabric.engine, fabric.holder, names] {
                    try Children.signal(try #require(process), SignalNumber.kill)
                }
                try soon { fabric.engine == nil && fabric.slirp(of: before.holder) == nil }
                try fabric.set(change([Self.lan], [port(3, "lan", "10.9.0.4")]))
                #expect(before.slirp != nil && fabric.holder != before.holder)
                #expect(try fabric.guest("dhcp", "t3", "02:00:00:00:00:03") == "10.9.0.4 1500")
                let ports = try JSONParser.parse(Array(fabric.ask(.report).utf8))["ports"]?.elements ?? []
                #expect(ports.map { $0.boolean("has_reader") } == [false, false, false])
                let holder = fabric.holder
                try fabric.ask(.change(change(without: [1, 2, 3])))
                try soon { fabric.engine == nil && fabric.holder == nil && fabric.slirp(of: holder) == nil }
                #expect(try run("/bin/ls", fabric.folder.path).split(separator: "\n") == ["holder", "lock"])
            })
    }

    @Test func `what is another user's, and what only root could do, is refused with the reason`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let fabric = try UserFabric()
                defer { fabric.end() }
                let program = "/run/swiftlet-fabric"
                // With nothing there, and beside the user's engine.
                for _ in 0..<2 {
                    #expect { try run(program, "start", fabric.folder.path) } throws: {
                        "\($0)".contains("belongs to the user 54321: run this as that user")
                    }
                    try fabric.set(Self.two)
                }
                #expect(try run("/usr/bin/find", fabric.folder.path, "!", "-user", "54321") == "")
                var machine = Self.published([PublishedPort(.tcp, on: IPAddress("::1"), 8080...8080, to: 80)])
                machine.addresses += [IPAddress("fd00:9::2")].compactMap { $0 }
                let lan = network("lan", 1, "10.9.0.0/24") {
                    $0.prefixes += [NetworkPrefix("fd00:9::/64")].compactMap { $0 }
                }
                let wanted = change([lan], [machine])
                #expect { try fabric.ask(.change(wanted)) } throws: {
                    "\($0)".contains("ports lead to machines by IPv4 alone, and [::1]:8080:80/tcp does not")
                }
                #expect(try fabric.ask(.report).contains("networks of an ordinary user lead out by IPv4 alone"))
            })
    }

    @Test func `nothing is left of it after the last machine, though its engine was killed`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let fabric = try UserFabric()
                try fabric.set(Self.two)
                let (engine, holder) = (fabric.engine, fabric.holder)
                let slirp = fabric.slirp(of: holder)
                try Children.signal(try #require(engine), SignalNumber.kill)
                try soon { fabric.engine == nil }
                var bytes: [UInt8] = []
                FabricRequest.change(change(without: [1, 2])).document.write(to: &bytes)
                try EngineFolder.write(bytes, to: "/run/request")
                try fabric.do("ask", fabric.folder.path, "/run/request")
                try soon { fabric.engine == nil && fabric.holder == nil && fabric.slirp(of: holder) == nil }
                #expect(slirp != nil)
                #expect(try run("/bin/ls", fabric.folder.path).split(separator: "\n") == ["holder", "lock"])
            })
    }

    @Test func `without the program that leads out there are networks, and it is said that nothing leads out`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let fabric = try UserFabric(hasWayOut: false)
                defer { fabric.end() }
                try fabric.set(Self.two)
                #expect(try fabric.guest("dhcp", "t1", "02:00:00:00:00:01") == "10.9.0.2 1500")
                #expect(try fabric.ask(.report).contains("apt-get install slirp4netns"))
                #expect {
                    try fabric.ask(
                        .change(change([Self.lan], [Self.published([PublishedPort(.tcp, 8080...8080, to: 80)])])))
                } throws: { "\($0)".contains("apt-get install slirp4netns") }
                // It is there as soon as it is installed.
                try run("/bin/umount", "/usr/bin/slirp4netns")
                try soon {
                    (try? fabric.inside("/usr/sbin/ip", "route", "show", "default"))?.contains("10.189.255.2") == true
                }
            })
    }

    @Test func `where the kernel forbids it, what is missing is said`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let fabric = try UserFabric()
                // In a namespace in which nobody may make another one, it is who it was.
                #expect {
                    try fabric.within("echo 0 > /proc/sys/user/max_user_namespaces")
                } throws: { "\($0)".contains("user.max_user_namespaces is 0); as root: sysctl") }
                for limit in ["1 > /proc/sys/user/max_user_namespaces", "0 > /proc/sys/user/max_net_namespaces"] {
                    #expect { try fabric.within("echo \(limit)") } throws: {
                        "\($0)".contains("there may be no more here; end what has made others (lsns)")
                    }
                }
                try run("/bin/chmod", "600", "/run/tun")
                #expect { try fabric.do("start", fabric.folder.path) } throws: {
                    "\($0)".contains("as root: chmod 666 /dev/net/tun")
                }
                try run(
                    "/bin/sh", "-c",
                    "umount /dev/net/tun && mknod -m 666 /run/none c 10 9999 && mount --bind /run/none /dev/net/tun")
                #expect { try fabric.do("start", fabric.folder.path) } throws: {
                    "\($0)".contains("as root: modprobe tun")
                }
                #expect(fabric.holder == nil && fabric.engine == nil)
            })
    }
}
