import AgentProtocol
import FabricProtocol
import Foundation
import LinuxCalls
import Testing
import WireFormats

@testable import FabricEngine

/// What is put into wires of an ordinary user's fabric, under numbered packets.
@Suite(.enabled(if: mayRunUserEngines, Comment(rawValue: userEnginesTake)), .serialized)
struct UserWireTests {
    @Test func `no packet is lost when things come into a user's wires, fail, and go`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let fabric = try UserFabric()
                defer { fabric.end() }
                let (machine, other) = (port(1, "lan", "10.9.0.2"), port(2, "lan", "10.9.0.3"))
                let ends = [11, 12, 21, 22, 31].map { FabricPort.end($0) }
                try fabric.set(change([network("lan", 1, "10.9.0.0/24")], ends + [machine, other]))
                try fabric.enter()
                for end: UInt16 in [1, 2, 11, 12, 21, 22] {
                    try run("/usr/sbin/ip", "link", "set", FabricPort.tap(end), "txqueuelen", "50000")
                }
                let flow = try NumberedFlow(from: machine, to: other, packetsPerSecond: 4000)
                var carriers = [try Carrier(11, 12), try Carrier(21, 22)]
                func set(
                    _ line: [InlineAppliance], mirrors: [UInt16] = [], delay milliseconds: UInt32? = nil
                ) throws {
                    var machine = machine
                    machine.line = line
                    machine.mirrors = mirrors
                    machine.impairment = milliseconds.map { milliseconds in
                        var impairment = Impairment()
                        impairment.toNetwork.delayMicroseconds = milliseconds * 1000
                        return impairment
                    }
                    try fabric.set(change([], [machine]))
                    pause(30)
                }
                func expect(isInLine: Bool) throws {
                    try soon {
                        let appliances = try JSONParser.parse(Array(fabric.ask(.report).utf8))["appliances"]?.elements
                        return appliances?.first?.boolean("is_in_line") == isInLine
                    }
                }
                pause(300)
                var bypassed = appliance("a", 11)
                bypassed.isBypassed = true
                for _ in 0..<5 {
                    for line in [
                        [appliance("a", 11)], [bypassed], [appliance("a", 11)], [appliance("b", 21)],
                        [appliance("b", 21), appliance("a", 11)], [appliance("a", 11)], [],
                    ] { try set(line) }
                }
                try set([], delay: 100)
                try soon {
                    _ = flow.takeShortestDelay()
                    pause(100)
                    return flow.takeShortestDelay() >= 100_000
                }
                try set([])
                let copies = try TapUser(31)
                try set([], mirrors: [31])
                try soon { copies.next() != nil }
                try set([appliance("b", 21)])
                // The next engine goes on with it.
                try Children.signal(try #require(fabric.engine), SignalNumber.kill)
                try soon { fabric.engine == nil }
                try expect(isInLine: true)
                pause(1200)
                let result = flow.end()
                report(
                    "a user's wires: \(result.sent) packets, \(result.missing) lost, \(result.doubled) doubled; \(carriers.map(\.carried)) through appliances"
                )
                #expect(result.missing == 0 && result.doubled == 0 && result.sent > 4000)
                #expect(carriers.allSatisfy { $0.carried > 500 })

                let steady = try NumberedFlow(from: machine, to: other, packetsPerSecond: 1000)
                func goesOn() throws -> Bool {
                    _ = steady.takeLongestGap()
                    pause(200)
                    return steady.takeLongestGap() < 150_000
                }
                // Gone around where it fails open, and nothing is let through where it does not.
                carriers[1].hang()
                try expect(isInLine: false)
                try soon { try goesOn() }
                carriers[1].carryOn()
                try expect(isInLine: true)
                carriers[1].end()
                try expect(isInLine: false)
                try soon { try goesOn() }
                carriers[1] = try Carrier(21, 22)
                try expect(isInLine: true)
                try set([appliance("b", 21, failsOpen: false)])
                carriers[1].end()
                try soon {
                    _ = steady.takeLongestGap()
                    pause(300)
                    return steady.takeLongestGap() >= 300_000
                }
                _ = try Carrier(21, 22)
                try soon { try goesOn() }
                _ = steady.end()
            })
    }

    @Test func `a router between a user's networks carries what goes from one to the other`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let fabric = try UserFabric()
                defer { fabric.end() }
                let networks = ["inner", "outer"].enumerated().map { place, name in
                    network(name, UInt16(place + 1), "10.9.\(place + 1).0/24")
                }
                try fabric.set(change(networks, [port(3, "inner", "10.9.1.9")]))
                try fabric.enter()
                let machines = [try Place(1, "10.9.1.2"), try Place(2, "10.9.2.2")]
                let router = try Place.router(11, 12)
                var passage = FabricPort(number: 7, network: "outer", hardwareAddress: FabricPort.upperStation(7))
                passage.joined = "inner"
                try fabric.set(
                    change([], [port(1, "inner", "10.9.1.2"), port(2, "outer", "10.9.2.2"), passage]))
                #expect(!machines[0].reaches("10.9.2.2"))
                passage.line = [routing(11)]
                try fabric.set(change([], [11, 12].map { FabricPort.end($0) } + [passage]))
                let before = router.received
                try soon { machines[0].reaches("10.9.2.2") && machines[1].reaches("10.9.1.2") }
                #expect(router.received > before + 5)
            })
    }
}
