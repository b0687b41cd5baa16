import AgentProtocol
import FabricProtocol
import Foundation
import LinuxCalls
import Testing

@testable import FabricEngine

/// Appliances between two networks: a namespace in the place of each machine and of the appliance.
@Suite(.enabled(if: mayRunEngines, Comment(rawValue: enginesTakeRoot)), .serialized)
struct PassageTests {
    @Test func `between two networks all goes through the appliance, and nothing without it`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let (engine, _) = try TestComputer().engine()
                defer { engine.nameServers.endAll() }
                let machines = [try Place(1, "10.9.1.2"), try Place(2, "10.9.2.2")]
                let appliance = try Place.bridge(11, 12)
                let reaching = network("inner", 1, "10.9.1.0/24") { $0.reachableNetworks = ["outer"] }
                let networks = [network("inner", 1, "10.9.1.0/24"), network("outer", 2, "10.9.2.0/24")]
                let ports = [port(1, "inner", "10.9.1.2"), port(2, "outer", "10.9.2.2")]
                try engine.put(change(networks, ports))
                /// Whether they reach each other, each way, and whether the appliance has carried that.
                func expect(_ forth: Bool, _ back: Bool, _ carried: Bool, line: Int = #line) {
                    var found: [Bool] = []
                    // Links that are new take a moment, and processes on a busy computer.
                    for _ in 0..<5 where found != [forth, back, carried] {
                        let before = appliance.received
                        found = [machines[0].reaches("10.9.2.2"), machines[1].reaches("10.9.1.2")]
                        found.append(appliance.received > before + 1)
                    }
                    if found != [forth, back, carried] { report("line \(line): forth, back, carried: \(found)") }
                    #expect(found == [forth, back, carried])
                }
                func set(_ line: [InlineAppliance]) throws {
                    try engine.put(change([], ends + [passage(line)]))
                }
                expect(false, false, false)
                // Nothing is there yet.
                try set([])
                expect(false, false, false)
                let inline = InlineAppliance(name: "a", inside: 11, outside: 12, patienceMilliseconds: 1000)
                try set([inline])
                expect(true, true, true)
                // Around it there is no way that nobody has allowed, also for connections that are known.
                var bypassed = inline
                bypassed.isBypassed = true
                try set([bypassed])
                expect(false, false, false)
                try engine.put(change([reaching]))
                expect(true, false, false)
                try set([inline])
                expect(true, true, true)
                // Whole, as `network repair` asks for it.
                try engine.put(engine.plan.asChange)
                expect(true, true, true)
                try set([])
                expect(true, false, false)
                try engine.put(change([networks[0]]))
                expect(false, false, false)
                // With the network goes what joined it.
                try engine.put(change(without: [2], withoutNetworks: ["outer"]))
                #expect(engine.plan.port(7) == nil && !succeeds("/usr/sbin/ip", "link", "show", "u7"))
                #expect(engine.isNeeded)
                try engine.put(change(without: [1, 11, 12]))
                #expect(!engine.isNeeded)
            })
    }

    @Test func `packets of both families find their way, and none is lost when it changes`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let (engine, _) = try TestComputer().engine()
                defer { engine.nameServers.endAll() }
                let machines = [try Place(1, "10.9.1.2", "fd00:9:1::2"), try Place(2, "10.9.2.2", "fd00:9:2::2")]
                let appliance = try Place.bridge(11, 12)
                let networks = [(1, "inner", "outer"), (2, "outer", "inner")].map { number, name, other in
                    network(name, UInt16(number), "10.9.\(number).0/24") {
                        $0.reachableNetworks = [other]
                        $0.prefixes += [NetworkPrefix("fd00:9:\(number)::/64")].compactMap { $0 }
                    }
                }
                var ports = [port(1, "inner", "10.9.1.2"), port(2, "outer", "10.9.2.2")]
                for place in 0..<2 { ports[place].addresses += [IPAddress("fd00:9:\(place + 1)::2")].compactMap { $0 } }
                try engine.put(change(networks, ports + ends + [passage([])]))
                for (one, other) in [(0, 1), (1, 0)] {
                    for address in ["10.9.\(other + 1).2", "fd00:9:\(other + 1)::2"] {
                        #expect((0..<20).contains { _ in machines[one].reaches(address) })
                    }
                }
                let inline = InlineAppliance(name: "a", inside: 11, outside: 12, patienceMilliseconds: 1000)
                // 1000 packets in two seconds, while it comes and goes.
                try machines[0].startPing("fd00:9:2::2", to: "/run/ping")
                let before = appliance.received
                for _ in 0..<8 {
                    try engine.put(change([], [passage([inline])]))
                    sleep(nanoseconds: 100_000_000)
                    try engine.put(change([], [passage([])]))
                    sleep(nanoseconds: 50_000_000)
                }
                var said = ""
                for _ in 0..<1200 where !said.contains("packet loss") {
                    sleep(nanoseconds: 50_000_000)
                    said = try String(contentsOfFile: "/run/ping", encoding: .utf8)
                }
                report(
                    "between networks, under a flow: \(said.split(separator: "\n").dropFirst(2).joined(separator: "; "))"
                )
                #expect(said.contains(" 0% packet loss"))
                report("\(appliance.received - before) frames through the appliance")
                #expect(appliance.received > before + 50)
            })
    }

    @Test func `what goes from network to network is impaired, with appliances and without, and gets no further`() async
    {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let (engine, _) = try TestComputer().engine()
                engine.program = ByteString(engineProgram)
                defer { engine.nameServers.endAll() }
                let machines = [try Place(1, "10.9.1.2"), try Place(2, "10.9.2.2")]
                let appliance = try Place.bridge(11, 12)
                let networks = [
                    network("inner", 1, "10.9.1.0/24") { $0.reachableNetworks = ["outer"] },
                    network("outer", 2, "10.9.2.0/24"),
                ]
                try engine.put(change(networks, [port(1, "inner", "10.9.1.2"), port(2, "outer", "10.9.2.2")] + ends))
                #expect((0..<20).contains { _ in machines[0].reaches("10.9.2.2") })
                try engine.put(change([], [passage([])]))
                var slow = Impairment()
                slow.toNetwork.delayMicroseconds = 100_000
                slow.toMachine.delayMicroseconds = 60_000
                /// Whether what is sent from the inner network is late, and whether it is reached from the outer one, by the appliance or
                /// not.
                func expect(_ isLate: Bool, _ isReached: Bool, _ isCarried: Bool, line: Int = #line) {
                    var found: [Bool] = []
                    for _ in 0..<5 where found != [isLate, isReached, isCarried] {
                        let before = appliance.received
                        let time = machines[0].roundTrip("10.9.2.2")
                        if let time { report("line \(line): \(time) ms") }
                        found = [(time ?? 0) >= 160, machines[1].reaches("10.9.1.2"), appliance.received > before + 1]
                        if time == nil { found = [] }
                    }
                    if found != [isLate, isReached, isCarried] { report("line \(line): \(found)") }
                    #expect(found == [isLate, isReached, isCarried])
                }
                func set(_ line: [InlineAppliance], _ impairment: Impairment?) throws {
                    var passage = passage(line)
                    passage.impairment = impairment
                    try engine.put(change([], ends + [passage]))
                }
                let inline = InlineAppliance(name: "a", inside: 11, outside: 12, patienceMilliseconds: 1000)
                var bypassed = inline
                bypassed.isBypassed = true
                expect(false, false, false)
                try set([], slow)
                expect(true, false, false)
                // Whole, as `network repair` asks for it.
                try engine.put(engine.plan.asChange)
                expect(true, false, false)
                try set([inline], slow)
                expect(true, true, true)
                try engine.put(engine.plan.asChange)
                expect(true, true, true)
                // What only the appliance has let through is over with it.
                try set([bypassed], slow)
                expect(true, false, false)
                try engine.put(change([network("inner", 1, "10.9.1.0/24")]))
                #expect(!machines[0].reaches("10.9.2.2") && !machines[1].reaches("10.9.1.2"))
                try engine.put(change([networks[0]]))
                expect(true, false, false)
                try set([inline], nil)
                expect(false, true, true)
                try set([inline], slow)
                expect(true, true, true)
                try set([], nil)
                expect(false, false, false)
                // 1000 packets in two seconds, while it becomes slow and is not.
                try machines[0].startPing("10.9.2.2", to: "/run/ping")
                for _ in 0..<6 {
                    try set([], slow)
                    sleep(nanoseconds: 150_000_000)
                    try set([], nil)
                    sleep(nanoseconds: 100_000_000)
                }
                var said = ""
                for _ in 0..<1200 where !said.contains("packet loss") {
                    sleep(nanoseconds: 50_000_000)
                    said = try String(contentsOfFile: "/run/ping", encoding: .utf8)
                }
                report("impaired under a flow: \(said.split(separator: "\n").dropFirst(2).joined(separator: "; "))")
                #expect(said.contains(" 0% packet loss"))
                try engine.put(change(without: [1, 2, 7, 11, 12]))
                #expect(!succeeds("/usr/sbin/ip", "link", "show", "x7"))
            })
    }
}

private let ends = [UInt16(11), 12].map {
    FabricPort(number: $0, network: nil, hardwareAddress: [2, 0, 0, 0, 0, 0])
}

private func passage(_ line: [InlineAppliance]) -> FabricPort {
    var port = FabricPort(number: 7, network: "outer", hardwareAddress: FabricPort.upperStation(7), line: line)
    port.joined = "inner"
    return port
}
