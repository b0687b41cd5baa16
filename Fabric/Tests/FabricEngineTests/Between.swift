import AgentProtocol
import FabricProtocol
import Foundation
import LinuxCalls
import Testing

@testable import FabricEngine

/// Two networks with a machine in each, and what is between them.
struct Between {
    let folder: EngineFolder
    let engine: Engine
    let machines: [Place]

    init(reach: Bool = false) throws {
        let computer = try TestComputer()
        folder = computer.folder
        engine = try computer.engine().engine
        machines = [try Place(1, "10.9.1.2", "fd00:9:1::2"), try Place(2, "10.9.2.2", "fd00:9:2::2")]
        let networks = [(1, "inner", "outer"), (2, "outer", "inner")].map { number, name, other in
            network(name, UInt16(number), "10.9.\(number).0/24") {
                $0.reachableNetworks = reach ? [other] : []
                $0.prefixes += [NetworkPrefix("fd00:9:\(number)::/64")].compactMap { $0 }
            }
        }
        var ports = [
            FabricEngineTests.port(1, "inner", "10.9.1.2"), FabricEngineTests.port(2, "outer", "10.9.2.2"),
        ]
        for place in 0..<2 { ports[place].addresses += [IPAddress("fd00:9:\(place + 1)::2")].compactMap { $0 } }
        // Without the appliances' ends: who stands for one comes with them.
        try engine.put(FabricEngineTests.change(networks, ports + [port([])]))
    }

    func end() { engine.nameServers.endAll() }

    func port(_ line: [InlineAppliance]) -> FabricPort {
        var port = FabricPort(number: 7, network: "outer", hardwareAddress: FabricPort.upperStation(7), line: line)
        port.joined = "inner"
        return port
    }

    func change(_ line: [InlineAppliance]) -> FabricChange {
        let ends = [11, 12, 21, 22, 31, 32].map {
            FabricPort(number: $0, network: nil, hardwareAddress: [2, 0, 0, 0, 0, 0])
        }
        return FabricEngineTests.change([], ends + [port(line)])
    }

    func set(_ line: [InlineAppliance]) throws { try engine.put(change(line)) }

    /// What an engine that serves does all the time, until something is so.
    func awaits(_ other: Engine? = nil, attempts: Int = 5000, _ condition: (Engine) -> Bool) -> Bool {
        let engine = other ?? engine
        for _ in 0..<attempts {
            engine.lookAtEnds()
            _ = engine.probe()
            if condition(engine) { return true }
            pause(2)
        }
        return false
    }

    /// Lets the moment pass that ends have which are in no wire any more.
    func drain() {
        pause(1100)
        _ = engine.closeDrained()
    }

    /// Whether they reach each other, each way, and whether the appliance has carried that.
    func expect(
        _ forth: Bool, _ back: Bool, carriedBy appliance: Place?, isUsed: Bool? = nil, line: Int = #line
    ) {
        let wanted = [forth, back, appliance != nil && (isUsed ?? (forth || back))]
        var found: [Bool] = []
        // Links that are new take a moment, and processes on a busy computer.
        for _ in 0..<5 where found != wanted {
            let before = appliance?.received ?? 0
            found = [machines[0].reaches("10.9.2.2"), machines[1].reaches("10.9.1.2")]
            found.append(appliance.map { $0.received > before + 5 } ?? false)
        }
        if found != wanted { report("line \(line): forth, back, carried: \(found)") }
        #expect(found == wanted)
    }
}

/// Waits for the end of what `startPing` has begun.
func expectNoLoss() throws {
    var said = ""
    for _ in 0..<1200 where !said.contains("packet loss") {
        pause(50)
        said = try String(contentsOfFile: "/run/ping", encoding: .utf8)
    }
    report("routed: \(said.split(separator: "\n").dropFirst(2).joined(separator: "; "))")
    #expect(said.contains(" 0% packet loss") && !said.contains("duplicates"))
    try FileManager.default.removeItem(atPath: "/run/ping")
}

/// One that routes, with the hardware addresses that `Place.router` has.
func routing(_ inside: UInt16, failsOpen: Bool = true, patience: UInt32? = 1000) -> InlineAppliance {
    InlineAppliance(
        name: "router", inside: inside, outside: inside + 1, failsOpen: failsOpen, patienceMilliseconds: patience,
        routing: InlineAppliance.Stations(
            inside: [2, 0, 0, 1, 0, UInt8(inside / 10 * 16 + inside % 10)],
            outside: [2, 0, 0, 1, 0, UInt8((inside + 1) / 10 * 16 + (inside + 1) % 10)]))
}
