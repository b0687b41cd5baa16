import FabricProtocol
import LinuxCalls
import Testing

@testable import FabricEngine

@Suite(.enabled(if: mayRunEngines, Comment(rawValue: enginesTakeRoot)), .serialized)
struct NameServerTests {
    @Test func `an address that was another machine's is given at once, and nobody has its name`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let (engine, _) = try TestComputer().engine()
                defer { engine.nameServers.endAll() }
                let lan = network("lan", 1, "10.9.0.0/24") { $0.maximumTransmissionUnit = 1400 }
                try engine.apply(change([lan], [port(1, "lan", "10.9.0.2"), port(2, "lan", "10.9.0.3")]))
                #expect(try guest("dhcp", "t1", "02:00:00:00:00:01") == "10.9.0.2 1400")
                #expect(try guest("dhcp", "t2", "02:00:00:00:00:02") == "10.9.0.3 1400")
                #expect(try guest("name", "10.9.0.1", "m1.lan.internal") == "10.9.0.2")
                try engine.apply(change(without: [1]))
                try engine.apply(change([lan], [port(7, "lan", "10.9.0.2")]))
                #expect(try guest("dhcp", "t7", "02:00:00:00:00:07") == "10.9.0.2 1400")
                #expect(try guest("name", "10.9.0.1", "m7.lan.internal") == "10.9.0.2")
                #expect(try guest("name", "10.9.0.1", "m1.lan.internal") == "none")
                // Without one that is taken away at the same time.
                try engine.apply(change([lan], [port(8, "lan", "10.9.0.2")], without: [7]))
                #expect(try guest("dhcp", "t8", "02:00:00:00:00:08") == "10.9.0.2 1400")
                // A machine that gets another address, and one that gets its own.
                try engine.apply(
                    change([lan], [port(8, "lan", "10.9.0.3"), port(2, "lan", "10.9.0.2")]))
                #expect(try guest("dhcp", "t8", "02:00:00:00:00:08") == "10.9.0.3 1400")
                #expect(try guest("dhcp", "t2", "02:00:00:00:00:02") == "10.9.0.2 1400")
            })
    }

    @Test func `names are served of a bridge that is made anew, and of a network with another number`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let (engine, _) = try TestComputer().engine()
                defer { engine.nameServers.endAll() }
                let lan = network("lan", 1, "10.9.0.0/24")
                let all = change([lan], [port(1, "lan", "10.9.0.2")], isWhole: true)
                try engine.apply(all)
                #expect(try guest("dhcp", "t1", "02:00:00:00:00:01") == "10.9.0.2 1500")
                try run("/usr/sbin/ip", "link", "delete", "n1")
                try engine.apply(all)
                #expect(try guest("dhcp", "t1", "02:00:00:00:00:01") == "10.9.0.2 1500")
                // The same name once more, as it is after `network rm` and `network create`.
                let other = network("lan", 2, "10.8.0.0/24")
                try engine.apply(change([other], [port(1, "lan", "10.8.0.2")]))
                #expect(try guest("name", "10.8.0.1", "m1.lan.internal") == "10.8.0.2")
                #expect(!succeeds("/usr/sbin/ip", "link", "show", "n1"))
                // The number is another network's now.
                try engine.apply(
                    change([network("dmz", 2, "10.7.0.0/24")], [port(1, "dmz", "10.7.0.2")], withoutNetworks: ["lan"]))
                #expect(try guest("name", "10.7.0.1", "m1.dmz.internal") == "10.7.0.2")
            })
    }

    @Test func `what an engine before has left ends before another begins`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let computer = try TestComputer()
                let (first, _) = try computer.engine()
                try first.apply(change([network("lan", 1, "10.9.0.0/24")], [port(1, "lan", "10.9.0.2")]))
                #expect(try guest("dhcp", "t1", "02:00:00:00:00:01") == "10.9.0.2 1500")
                let old = try run("/bin/cat", computer.folder.names(1).pidFile)
                // As after a kill: nobody has ended anything.
                let second = try Engine(computer.folder)
                defer { second.nameServers.endAll() }
                try second.resume()
                #expect(try guest("name", "10.9.0.1", "m1.lan.internal") == "10.9.0.2")
                #expect(try run("/bin/cat", computer.folder.names(1).pidFile) != old)
                #expect(try guest("dhcp", "t1", "02:00:00:00:00:01") == "10.9.0.2 1500")
            })
    }

    @Test func `what guests ask makes no log grow`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let computer = try TestComputer()
                let log = try LinuxCalls.open(computer.folder.log, [.writeOnly, .create, .append], mode: 0o600)
                try ProcessSetup.copyDescriptor(log.number, to: 2)
                let (engine, _) = try computer.engine()
                defer { engine.nameServers.endAll() }
                try engine.apply(change([network("lan", 1, "10.9.0.0/24")], [port(1, "lan", "10.9.0.2")]))
                #expect(try guest("dhcp", "t1", "02:00:00:00:00:01") == "10.9.0.2 1500")
                #expect(try FileTree.facts(in: log.number).sizeBytes == 0)
                for _ in 0..<20_000 { EngineLog.write("a line of some length about something that has happened") }
                #expect(try FileTree.facts(in: log.number).sizeBytes < 512 << 10)
            })
    }
}
