import AgentProtocol
import FabricProtocol
import LinuxCalls
import Testing
import WireFormats

@testable import FabricEngine

/// Appliances that come into a wire and go, and fail in it: by an engine that serves, in a process of its own each, whose network
/// goes with it.
@Suite(.enabled(if: mayRunEngines, Comment(rawValue: enginesTakeRoot)), .serialized)
struct InsertionTests {
    @Test func `no packet is lost when appliances come, are passed by, swapped, and go`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let fabric = try ServedFabric()
                defer { fabric.end() }
                let flow = try NumberedFlow(from: fabric.machine, to: fabric.other, packetsPerSecond: 8000)
                let carriers = [try Carrier(11, 12), try Carrier(21, 22)]
                var gaps = StepGaps(flow)
                func step(_ name: String, _ line: [InlineAppliance]) throws {
                    try gaps.step(name) { try fabric.set(line) }
                }
                var bypassed = appliance("a", 11)
                bypassed.isBypassed = true
                for _ in 0..<20 {
                    try step("insert", [appliance("a", 11)])
                    try step("bypass on", [bypassed])
                    try step("bypass off", [appliance("a", 11)])
                    try step("swap", [appliance("b", 21)])
                    try step("insert a second", [appliance("b", 21), appliance("a", 11)])
                    try step("turn round", [appliance("a", 11), appliance("b", 21)])
                    try step("remove", [appliance("b", 21)])
                    try step("remove", [])
                    gaps.stepWithoutChange()
                }
                // The last one's ends hand over for a second.
                pause(1200)
                let result = flow.end()
                gaps.show()
                report(
                    "insertion: \(result.sent) packets, \(result.missing) lost, \(result.doubled) doubled, \(result.overtaken) overtaken; "
                        + "\(carriers.map(\.carried)) through appliances")
                #expect(result.missing == 0 && result.doubled == 0)
                #expect(result.sent > 20_000 && carriers.allSatisfy { $0.carried > 2000 })
            })
    }

    @Test func `what is under way in one that is swapped arrives, however long the other takes`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let fabric = try ServedFabric()
                defer { fabric.end() }
                let flow = try NumberedFlow(from: fabric.machine, to: fabric.other, packetsPerSecond: 2000)
                let slow = try Carrier(11, 12, delayMilliseconds: 400)
                try fabric.set([appliance("a", 11, patience: 5000)])
                try soon { slow.carried > 1000 }
                let late = try Carrier(21, 22, isDeaf: true)
                try startThread {
                    pause(800)
                    late.carryOn()
                }
                try fabric.ask(.readiness(fabric.change([appliance("b", 21)]), milliseconds: 60_000))
                try fabric.set([appliance("b", 21)])
                pause(1200)
                try soon { late.carried > 1000 }
                let result = flow.end()
                report("swapped late: \(result.sent) packets, \(result.missing) lost; \(slow.carried), \(late.carried)")
                #expect(slow.carried > 1000 && late.carried > 1000)
                #expect(result.missing == 0 && result.doubled == 0)
            })
    }

    @Test func `one that hangs is gone around, and used again when it is well`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let fabric = try ServedFabric()
                defer { fabric.end() }
                let flow = try NumberedFlow(from: fabric.machine, to: fabric.other, packetsPerSecond: 2000)
                let carrier = try Carrier(11, 12)
                try fabric.set([appliance("a", 11)])
                pause(300)
                var gaps: [UInt64] = []
                for _ in 0..<5 {
                    let before = carrier.carried
                    _ = flow.takeLongestGap()
                    carrier.hang()
                    try soon { try fabric.state(of: 11) == (isFailing: true, isInLine: false) }
                    pause(100)
                    gaps.append(flow.takeLongestGap())
                    carrier.carryOn()
                    try soon { try fabric.state(of: 11) == (isFailing: false, isInLine: true) }
                    pause(100)
                    #expect(carrier.carried > before)
                }
                report("a hanging appliance holds up \(gaps.map { $0 / 1000 }) ms of traffic")
                // The promise is 200 ms; a busy machine is allowed more.
                #expect(gaps.allSatisfy { $0 < 3_000_000 })
                carrier.end()
                try soon { try fabric.state(of: 11) == (isFailing: true, isInLine: false) }
                try soon {
                    _ = flow.takeLongestGap()
                    pause(100)
                    return flow.takeLongestGap() < 100_000
                }
                let anew = try Carrier(11, 12)
                try soon { try fabric.state(of: 11) == (isFailing: false, isInLine: true) }
                pause(100)
                #expect(anew.carried > 0)
                let ended = Clock.monotonic.nanoseconds()
                anew.end()
                try soon { try fabric.state(of: 11).isInLine == false }
                report("one that ends is gone around after \((Clock.monotonic.nanoseconds() - ended) / 1000) us")
                _ = flow.end()
            })
    }

    @Test func `one that must not be gone around stops what comes`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let fabric = try ServedFabric()
                defer { fabric.end() }
                let flow = try NumberedFlow(from: fabric.machine, to: fabric.other, packetsPerSecond: 1000)
                let carrier = try Carrier(11, 12)
                try fabric.set([appliance("a", 11, failsOpen: false)])
                pause(200)
                carrier.hang()
                pause(400)
                #expect(try fabric.state(of: 11) == (isFailing: true, isInLine: true))
                #expect(flow.takeLongestGap() > 300_000)
                carrier.end()
                pause(200)
                #expect(try fabric.state(of: 11) == (isFailing: true, isInLine: true))
                #expect(flow.takeLongestGap() > 150_000)
                try fabric.set([])
                pause(100)
                try soon {
                    _ = flow.takeLongestGap()
                    pause(100)
                    return flow.takeLongestGap() < 100_000
                }
                _ = flow.end()
            })
    }

    @Test func `one that is not ready is not switched to, and nothing else is touched`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let fabric = try ServedFabric()
                defer { fabric.end() }
                let flow = try NumberedFlow(from: fabric.machine, to: fabric.other, packetsPerSecond: 2000)
                let (well, deaf) = (try Carrier(11, 12), try Carrier(21, 22, isDeaf: true))
                try fabric.set([appliance("a", 11)])
                for line in [
                    [appliance("b", 21)], [appliance("a", 11), appliance("b", 21)],
                    [appliance("b", 21), appliance("a", 11)],
                ] {
                    #expect(throws: FabricFault.self) { try fabric.set(line) }
                    #expect(try fabric.state(of: 11) == (isFailing: false, isInLine: true))
                }
                // Nobody is there at all.
                #expect(throws: FabricFault.self) { try fabric.set([appliance("c", 31)]) }
                // Whoever wants no probes says that it carries.
                try fabric.set([appliance("b", 21, patience: nil)])
                pause(100)
                #expect(flow.takeLongestGap() > 50_000)
                try fabric.set([appliance("a", 11)])
                let before = well.carried
                pause(100)
                #expect(well.carried > before && deaf.carried == 0)
                let result = flow.end()
                #expect(result.doubled == 0)
            })
    }

    @Test func `an engine that begins again has the wires as they were`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let fabric = try ServedFabric()
                defer { fabric.end() }
                let flow = try NumberedFlow(from: fabric.machine, to: fabric.other, packetsPerSecond: 2000)
                let carrier = try Carrier(11, 12)
                try fabric.set([appliance("a", 11)])
                pause(100)
                // Whole, as `network repair` asks for it.
                var whole = fabric.change([appliance("a", 11)])
                whole.isWhole = true
                try fabric.ask(.change(whole))
                #expect(try fabric.state(of: 11) == (isFailing: false, isInLine: true))
                let before = carrier.carried
                pause(100)
                #expect(carrier.carried > before)
                #expect(flow.end().missing == 0)
            })
    }

    @Test func `who looks gets a copy of everything, and says nothing`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let fabric = try ServedFabric()
                defer { fabric.end() }
                let flow = try NumberedFlow(from: fabric.machine, to: fabric.other, packetsPerSecond: 1000)
                let looking = try TapUser(31)
                try fabric.set([], mirrors: [31])
                pause(200)
                let header = [UInt8](repeating: 0, count: TapUser.headerBytes)
                var copies = 0
                while let frame = looking.next() {
                    if frame.count == header.count + 14 + NumberedFlow.contentsBytes { copies += 1 }
                }
                #expect(copies > 50)
                // It comes back to itself.
                let message =
                    [UInt8](repeating: 0xff, count: 6) + [2, 0, 0, 0, 0, 9] + [UInt8](repeating: 0xff, count: 48)
                looking.send(header + message)
                pause(50)
                var own = 0
                while let frame = looking.next() {
                    if Array(frame.dropFirst(header.count)) == message { own += 1 }
                }
                #expect(own == 1)
                let result = flow.end()
                #expect(result.missing == 0 && result.doubled == 0)
            })
    }
}
