import AgentProtocol
import ChildPrograms
import FabricProtocol
import Foundation
import Glibc
import LinuxCalls
import Synchronization
import Testing
import WireFormats

@testable import FabricEngine

/// At each step of an insertion somebody is killed: who has asked for it, the engine, the appliance, or the machine's monitor.
/// Documentation/insertion.md lists the steps.
@Suite(.enabled(if: mayRunEngines, Comment(rawValue: enginesTakeRoot)), .serialized)
struct InsertionFaultTests {
    private static let steps = [EngineStops.Step.asked, .prepared, .joined, .ready, .switched, .written, .answered]

    @Test func `who has asked may be killed at any step: what was asked for is done`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let fabric = try KilledFabric()
                defer { fabric.killAll() }
                let carrier = try fabric.inside { try Carrier(11, 12) }
                for step in InsertionFaultTests.steps {
                    let asker = try fabric.ask(fabric.inserted, stoppingAt: step)
                    try Children.signal(asker, SignalNumber.kill)
                    try fabric.goOn()
                    try fabric.comesTrue("in line, asker killed at \(step)") { fabric.state?.isInLine == true }
                    try fabric.carries(carrier, "asker killed at \(step)")
                    try fabric.takeOut()
                    _ = try? Children.wait(for: asker)
                }
                try fabric.end(carrier)
            })
    }

    @Test func `the engine may be killed at any step: whoever asks again has it done`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                try InsertionFaultTests.killEngines(KilledFabric())
            })
    }

    @Test func `so it may with a router between networks`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                try InsertionFaultTests.killEngines(KilledFabric(isRouted: true))
            })
    }

    private static func killEngines(_ fabric: KilledFabric) throws {
        defer { fabric.killAll() }
        let carrier = try fabric.inside { try Carrier(11, 12, routing: fabric.routedPackets) }
        for step in InsertionFaultTests.steps {
            let asker = try fabric.ask(fabric.inserted, stoppingAt: step)
            fabric.killEngine()
            try fabric.goOn()
            // Who has an answer by then has the right one.
            let end = try Children.wait(for: asker)
            let isRight = (end == .exited(0)) == (step == .answered)
            if !isRight { report("engine killed at \(step): who asked ended with \(end)") }
            #expect(isRight)
            // The kernel goes on with what there is, also when it is half of it.
            try fabric.flows("engine killed at \(step)")
            // As commands do.
            try fabric.tell(fabric.inserted)
            try fabric.comesTrue("in line, engine killed at \(step)") { fabric.state?.isInLine == true }
            try fabric.carries(carrier, "engine killed at \(step)")
            try fabric.takeOut()
        }
        try fabric.end(carrier)
    }

    @Test func `the appliance may be killed at any step: it is refused, or gone around`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let fabric = try KilledFabric()
                defer { fabric.killAll() }
                for step in InsertionFaultTests.steps {
                    let isReady = ![.asked, .prepared, .joined].contains(step)
                    let carrier = try fabric.carrier()
                    let asker = try fabric.ask(fabric.inserted, stoppingAt: step)
                    try fabric.kill(carrier)
                    try fabric.goOn()
                    let end = try Children.wait(for: asker)
                    if (end == .exited(0)) != isReady { report("killed at \(step): who asked ended with \(end)") }
                    #expect((end == .exited(0)) == isReady)
                    if isReady {
                        try fabric.comesTrue("gone around, killed at \(step)") {
                            fabric.stands(isFailing: true, isInLine: false)
                        }
                        try fabric.flows("killed at \(step)")
                        // One that is started again is used again.
                        let another = try fabric.carrier()
                        try fabric.comesTrue("used again, killed at \(step)") {
                            fabric.stands(isFailing: false, isInLine: true)
                        }
                        try fabric.flows("used again, killed at \(step)")
                        try fabric.takeOut()
                        try fabric.kill(another)
                    } else {
                        #expect(fabric.state == nil, "killed at \(step)")
                        try fabric.flows("killed at \(step)")
                    }
                    try fabric.comesTrue("its ends are in no wire, killed at \(step)") { fabric.isOut }
                }
                try fabric.end()
            })
    }

    @Test func `the machine's monitor may be killed at any step: the appliance is let go, and the machine begins anew`()
        async
    {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                var fabric = try KilledFabric()
                defer { fabric.killAll() }
                let carrier = try fabric.inside { try Carrier(11, 12) }
                for step in InsertionFaultTests.steps {
                    let asker = try fabric.ask(fabric.inserted, stoppingAt: step)
                    let owner = try fabric.endMachine()
                    try fabric.goOn()
                    #expect(try Children.wait(for: asker) == .exited(0), "who inserts, monitor killed at \(step)")
                    #expect(try Children.wait(for: owner) == .exited(0), "who unplugs, monitor killed at \(step)")
                    #expect(fabric.state == nil, "monitor killed at \(step)")
                    try fabric.comesTrue("its ends are in no wire, monitor killed at \(step)") { fabric.isOut }
                    try fabric.beginMachine()
                    try fabric.flows("begun anew after \(step)")
                    try fabric.tell(fabric.inserted)
                    try fabric.carries(carrier, "begun anew after \(step)")
                    try fabric.takeOut()
                }
                try fabric.end(carrier)
            })
    }

    @Test func `one that must not be gone around stops what comes when it is killed`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let fabric = try KilledFabric(failsOpen: false)
                defer { fabric.killAll() }
                for step in [EngineStops.Step.joined, .ready, .switched, .answered] {
                    let carrier = try fabric.carrier()
                    let asker = try fabric.ask(fabric.inserted, stoppingAt: step)
                    try fabric.kill(carrier)
                    try fabric.goOn()
                    #expect((try Children.wait(for: asker) == .exited(0)) == (step != .joined), "killed at \(step)")
                    if step == .joined {
                        #expect(fabric.state == nil)
                        try fabric.flows("killed at \(step)")
                        continue
                    }
                    try fabric.comesTrue("in line, killed at \(step)") {
                        fabric.stands(isFailing: true, isInLine: true)
                    }
                    try fabric.comesTrue("nothing arrives, killed at \(step)") {
                        _ = fabric.flow.takeLongestGap()
                        sleep(nanoseconds: 300_000_000)
                        return fabric.flow.takeLongestGap() > 290_000
                    }
                    let another = try fabric.carrier()
                    try fabric.comesTrue("used again, killed at \(step)") {
                        fabric.stands(isFailing: false, isInLine: true)
                    }
                    try fabric.flows("used again, killed at \(step)")
                    try fabric.kill(another)
                    try fabric.takeOut()
                    try fabric.flows("taken out, killed at \(step)")
                }
                try fabric.end()
            })
    }
}

/// Two machines that send all the time, with the ends of an appliance, and an engine that is a process of its own. They are in one network,
/// with the appliance in a machine's wire; or in two, with one that routes between them.
private struct KilledFabric {
    private static let stations = InlineAppliance.Stations(inside: [2, 0, 0, 1, 0, 11], outside: [2, 0, 0, 1, 0, 12])
    let folder: EngineFolder
    private(set) var flow: NumberedFlow
    private let isRouted: Bool
    private let failsOpen: Bool

    init(isRouted: Bool = false, failsOpen: Bool = true) throws {
        self.isRouted = isRouted
        self.failsOpen = failsOpen
        folder = try TestComputer().folder
        try EngineFolder.make(folder.path + "/stops")
        let folder = folder
        let change = Self.change([], isRouted: isRouted)
        try Self.tell(change, folder)
        flow = try Self.flow(change, folder, isRouted: isRouted)
    }

    private static func flow(_ change: FabricChange, _ folder: EngineFolder, isRouted: Bool) throws -> NumberedFlow {
        try inside(folder) {
            let machines = change.ports.filter(\.isMachine)
            if isRouted {
                // Nobody answers in its place.
                try run(
                    "/usr/sbin/ip", "neigh", "replace", "10.9.2.2", "lladdr",
                    HardwareAddress.text(machines[1].hardwareAddress), "nud", "permanent", "dev",
                    change.networks[1].bridge)
            }
            return try NumberedFlow(
                from: machines[0], to: machines[1], by: isRouted ? change.networks[0].hardwareAddress : nil,
                packetsPerSecond: 500)
        }
    }

    /// What the appliance does, if it routes.
    var routedPackets: RoutedPackets? { isRouted ? RoutedPackets(Self.stations, at: 7) : nil }

    private static func change(_ line: [InlineAppliance], isRouted: Bool) -> FabricChange {
        guard isRouted else { return bridged(line) }
        var between = FabricPort(
            number: 7, network: "outer", hardwareAddress: FabricPort.upperStation(7), line: line)
        between.joined = "inner"
        let networks = [
            network("inner", 1, "10.9.1.0/24") { $0.reachableNetworks = ["outer"] },
            network("outer", 2, "10.9.2.0/24"),
        ]
        let machines = [port(1, "inner", "10.9.1.2"), port(2, "outer", "10.9.2.2")]
        return FabricEngineTests.change(networks, machines + ends + [between])
    }

    private static let ends = [UInt16(11), 12].map {
        FabricPort(number: $0, network: nil, hardwareAddress: [2, 0, 0, 0, 0, 0])
    }

    private static func bridged(_ line: [InlineAppliance]) -> FabricChange {
        var ports = [1, 2].map { FabricPort(number: $0, network: "lan", hardwareAddress: [2, 0, 0, 0, 0, UInt8($0)]) }
        ports[0].line = line
        return FabricEngineTests.change([FabricNetwork(name: "lan", number: 1, prefixes: [])], ports + ends)
    }

    var inserted: FabricChange {
        Self.change(
            [
                InlineAppliance(
                    name: "a", inside: 11, outside: 12, failsOpen: failsOpen, patienceMilliseconds: 1000,
                    routing: isRouted ? Self.stations : nil)
            ], isRouted: isRouted)
    }

    /// Does something in the fabric's network, by a thread of its own.
    func inside<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) throws -> Result {
        try Self.inside(folder, body)
    }

    private static func inside<Result: Sendable>(
        _ folder: EngineFolder, _ body: @escaping @Sendable () throws -> Result
    ) throws -> Result {
        let outcome = Mutex<Swift.Result<Result, any Error>?>(nil)
        try startThread {
            let result = Swift.Result {
                try EngineProcess.join(folder)
                return try body()
            }
            outcome.withLock { $0 = result }
        }
        while true {
            if let result = outcome.withLock({ $0 }) { return try result.get() }
            sleep(nanoseconds: 1_000_000)
        }
    }

    // MARK: Asking

    private static func bytes(_ change: FabricChange) -> [UInt8] {
        var bytes: [UInt8] = []
        FabricRequest.change(change).document.write(to: &bytes)
        return bytes
    }

    /// Begins to ask, and comes back when the engine stands still at the step.
    func ask(_ change: FabricChange, stoppingAt step: EngineStops.Step) throws -> Int32 {
        try EngineFolder.write(Self.bytes(change), to: folder.path + "/request")
        try EngineFolder.write(Array(step.name.utf8), to: folder.path + "/stops/at")
        let process = try Programs.start(
            [ByteString(engineProgram), "ask", ByteString(folder.path), ByteString(folder.path + "/request")])
        try comesTrue("the engine stands still at \(step)") { exists("reached") }
        return process
    }

    func goOn() throws {
        for name in ["at", "reached"] { try removeFile(folder.path + "/stops/" + name) }
    }

    private func exists(_ name: String) -> Bool {
        (try? FileTree.facts(Array((folder.path + "/stops/" + name).utf8))) != nil
    }

    /// Asks until it is answered, as a command does.
    func tell(_ change: FabricChange) throws { try Self.tell(change, folder) }

    private static func tell(_ change: FabricChange, _ folder: EngineFolder) throws {
        try EngineFolder.write(bytes(change), to: folder.path + "/request")
        try run(engineProgram, "start", folder.path)
        try run(engineProgram, "ask", folder.path, folder.path + "/request")
    }

    func takeOut() throws { try tell(Self.change([], isRouted: isRouted)) }

    /// What the engine says of the appliance; nil: it has none.
    var state: (isFailing: Bool, isInLine: Bool)? {
        var bytes: [UInt8] = []
        FabricRequest.report.document.write(to: &bytes)
        guard let said = try? EngineProcess.ask(folder, bytes), let report = try? JSONParser.parse(said),
            let appliance = report["appliances"]?.elements?.first
        else { return nil }
        return (appliance.boolean("is_failing") ?? true, appliance.boolean("is_in_line") ?? false)
    }

    // MARK: A machine that ends

    /// Closes the TAP devices, as the kernel does for a monitor that is killed, and begins to ask that the first machine be unplugged, as
    /// its owner does then.
    func endMachine() throws -> Int32 {
        #expect(flow.end().doubled == 0)
        let file = folder.path + "/unplug"
        try EngineFolder.write(Self.bytes(FabricEngineTests.change(without: [1])), to: file)
        return try Programs.start(
            [ByteString(engineProgram), "ask", ByteString(folder.path), ByteString(file)])
    }

    /// Plugs it in again, and sends anew.
    mutating func beginMachine() throws {
        try takeOut()
        let change = Self.change([], isRouted: isRouted)
        var begun: NumberedFlow?
        // The other machine's device is closed a moment after the flow has ended.
        try comesTrue("the machines' devices are free") {
            begun = try? Self.flow(change, folder, isRouted: isRouted)
            return begun != nil
        }
        if let begun { flow = begun }
    }

    // MARK: An appliance that is a process

    /// One that carries, and may be killed.
    func carrier() throws -> Int32 {
        let script = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "guest.py").path
        let file = folder.path + "/carrying"
        try removeFile(file)
        let null = try LinuxCalls.open("/dev/null", .writeOnly)
        let arguments = [
            "/usr/bin/nsenter", "--net=\(folder.namespace)", "python3", script, "carry", "t11", "t12", file,
        ]
        let process = try Programs.start(
            arguments.map { ByteString($0) }, output: null.number, errors: null.number)
        try comesTrue("an appliance begins") { (try? FileTree.facts(Array(file.utf8))) != nil }
        return process
    }

    func kill(_ process: Int32) throws {
        try Children.signal(process, SignalNumber.kill)
        _ = try Children.wait(for: process)
    }

    func stands(isFailing: Bool, isInLine: Bool) -> Bool {
        state.map { $0.isFailing == isFailing && $0.isInLine == isInLine } ?? false
    }

    /// Whether its ends are down, as those are that are in no wire.
    var isOut: Bool {
        ["t11", "t12"].allSatisfy {
            succeeds(
                "/usr/bin/nsenter", "--net=\(folder.namespace)", "/bin/sh", "-c",
                "! ip link show up dev \($0) | grep -q .")
        }
    }

    func killEngine() { kill("tr '\\0' ' ' 2> /dev/null < $p/cmdline | grep -q '[e]xe serve'") }

    /// Whatever this test has started, however it ends: who stands still for ever, and has what the test complains of open, would keep all
    /// tests waiting for more.
    func killAll() { kill("[ ${p#/proc/} != $$ -a ${p#/proc/} != \(getpid()) ]") }

    private func kill(_ condition: String) {
        _ = succeeds(
            "/bin/sh", "-c",
            """
            for p in /proc/[0-9]*; do
                [ "$(readlink $p/ns/mnt)" = "$(readlink /proc/self/ns/mnt)" ] || continue
                \(condition) && kill -9 ${p#/proc/}
            done
            """)
    }

    // MARK: Judging

    func comesTrue(_ what: String, _ isSo: () -> Bool) throws {
        for _ in 0..<6000 {
            if isSo() { return }
            sleep(nanoseconds: 10_000_000)
        }
        report("never: \(what)")
        throw FabricFault(what)
    }

    /// Whether the machines reach each other.
    func flows(_ when: String) throws {
        try comesTrue("packets arrive, \(when)") {
            _ = flow.takeLongestGap()
            sleep(nanoseconds: 50_000_000)
            return flow.takeLongestGap() < 45_000
        }
    }

    func carries(_ carrier: Carrier, _ when: String) throws {
        let before = carrier.carried
        try comesTrue("packets go through it, \(when)") { carrier.carried > before + 50 }
        try flows(when)
    }

    func end(_ carrier: Carrier) throws {
        try end()
        carrier.end()
    }

    /// A packet may be lost with who is killed; none is doubled.
    func end() throws {
        let result = flow.end()
        report(
            "\(result.sent) packets while somebody is killed at each step: \(result.missing) lost, \(result.doubled) doubled"
        )
        #expect(result.doubled == 0)
        try run("/bin/sh", "-c", "printf '{\"end\":{}}' > \(folder.path)/request")
        try run(engineProgram, "ask", folder.path, folder.path + "/request")
    }
}
