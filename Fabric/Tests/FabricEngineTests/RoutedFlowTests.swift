import AgentProtocol
import ChildPrograms
import FabricProtocol
import LinuxCalls
import Testing

@testable import FabricEngine

/// Routers that come into the wire between two networks and go, under a steady flow, by an engine that serves.
@Suite(.enabled(if: mayRunEngines, Comment(rawValue: enginesTakeRoot)), .serialized)
struct RoutedFlowTests {
    @Test func `no packet between networks is lost when routers come, are passed by, swapped, and go`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let fabric = try ServedFabric()
                defer { fabric.end() }
                let machines = [port(3, "inner", "10.9.1.2"), port(4, "outer", "10.9.2.2")]
                let networks = [
                    network("inner", 11, "10.9.1.0/24") { $0.reachableNetworks = ["outer"] },
                    network("outer", 12, "10.9.2.0/24"),
                ]
                try fabric.ask(.change(change(networks, machines + [passage([])])))
                // The engine is in this process, and may have taken note of a program's end before who waits for it.
                for end in [3, 4, 31, 32] {
                    try soon { succeeds("/usr/sbin/ip", "link", "set", "t\(end)", "txqueuelen", "50000") }
                }
                // Nobody answers in its place.
                let station = HardwareAddress.text(machines[1].hardwareAddress)
                try soon {
                    succeeds(
                        "/usr/sbin/ip", "neigh", "replace", "10.9.2.2", "lladdr", station, "nud", "permanent", "dev",
                        networks[1].bridge)
                }
                let flow = try NumberedFlow(
                    from: machines[0], to: machines[1], by: networks[0].hardwareAddress, packetsPerSecond: 8000)
                let carriers = try [11, 31].map { number in
                    try Carrier(number, number + 1, routing: RoutedPackets(stations(number), at: 7))
                }
                let bridge = try Carrier(21, 22)
                var gaps = StepGaps(flow)
                func step(_ name: String, _ line: [InlineAppliance]) throws {
                    try gaps.step(name) { try fabric.ask(.change(change([], [passage(line)]))) }
                }
                var bypassed = router(11)
                bypassed.isBypassed = true
                for _ in 0..<20 {
                    try step("insert", [router(11)])
                    try step("bypass on", [bypassed])
                    try step("bypass off", [router(11)])
                    try step("swap", [router(31)])
                    try step("insert a bridge", [appliance("bridge", 21), router(31)])
                    try step("turn round", [router(31), appliance("bridge", 21)])
                    try step("remove the bridge", [router(31)])
                    try step("remove", [])
                    gaps.stepWithoutChange()
                }
                // The last one's ends hand over for a second.
                pause(1200)
                let result = flow.end()
                gaps.show()
                report(
                    "routers: \(result.sent) packets, \(result.missing) lost, \(result.doubled) doubled, \(result.overtaken) overtaken; "
                        + "\(carriers.map(\.carried)) through routers, \(bridge.carried) through the bridge")
                #expect(result.missing == 0 && result.doubled == 0)
                #expect(result.sent > 20_000 && (carriers + [bridge]).allSatisfy { $0.carried > 2000 })
            })
    }
}

private func stations(_ inside: UInt16) -> InlineAppliance.Stations {
    InlineAppliance.Stations(inside: [2, 0, 0, 1, 0, UInt8(inside)], outside: [2, 0, 0, 1, 0, UInt8(inside + 1)])
}

private func router(_ inside: UInt16) -> InlineAppliance {
    var router = appliance("router", inside)
    router.routing = stations(inside)
    return router
}

private func passage(_ line: [InlineAppliance]) -> FabricPort {
    var port = FabricPort(number: 7, network: "outer", hardwareAddress: FabricPort.upperStation(7), line: line)
    port.joined = "inner"
    return port
}
