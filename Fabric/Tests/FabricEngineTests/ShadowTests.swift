import AgentProtocol
import FabricProtocol
import LinuxCalls
import Testing
import WireFormats

@testable import FabricEngine

@Suite struct ShadowComparisonTests {
    /// A frame of IPv4 between two machines.
    private func frame(
        _ transport: UInt8, _ contents: [UInt8], source: UInt8 = 1, target: UInt8 = 2, life: UInt8 = 64
    ) -> [UInt8] {
        let length = 20 + contents.count
        let head: [UInt8] =
            [0x45, 0, UInt8(length >> 8), UInt8(length & 255), 0, life, 0, 0, life, transport, life, life]
            + [10, 0, 0, source, 10, 0, 0, target]
        // Stations differ behind a router, as the time to live does.
        return [UInt8](repeating: life, count: 12) + [0x08, 0] + head + contents
    }

    @Test(arguments: 0..<4) func `a message of ICMP that is cut off has an identity`(count: Int) {
        let short = frame(1, [UInt8](repeating: 8, count: count))
        _ = FrameIdentity(short[...], length: short.count)
        let head: [UInt8] = [0x60, 0, 0, 0, 0, UInt8(count), 58, 64] + [UInt8](repeating: 1, count: 32)
        let bytes = [UInt8](repeating: 2, count: 12) + [0x86, 0xdd] + head + [UInt8](repeating: 128, count: count)
        _ = FrameIdentity(bytes[...], length: bytes.count)
    }

    private func segment(
        _ sequence: UInt32, _ count: Int, flags: UInt8 = 0x10, source: UInt8 = 1
    ) -> [UInt8] {
        let numbers = (0..<4).reversed().map { UInt8(truncatingIfNeeded: sequence >> (8 * $0)) }
        return frame(
            6,
            [4, 0, 0, 80] + numbers + [0, 0, 0, 1, 0x50, flags, 1, 1, UInt8.random(in: 0...255), 0, 0, 0]
                + [UInt8](repeating: 7, count: count), source: source)
    }

    private func identity(_ frame: [UInt8]) throws -> FrameIdentity {
        try #require(FrameIdentity(frame[...], length: frame.count))
    }

    private func datagram(_ text: String, port: UInt8 = 53) -> [UInt8] {
        [4, 0, 0, port, 0, UInt8(8 + text.utf8.count), UInt8.random(in: 0...255), 0] + Array(text.utf8)
    }

    @Test func `frames are the same behind a router, and others are not`() throws {
        for (transport, contents) in [(UInt8(17), datagram("a")), (1, [8, 0, 1, 1, 0, 1, 0, 1]), (47, [1, 2, 3])] {
            let one = try identity(frame(transport, contents))
            #expect(try identity(frame(transport, contents, life: 63)) == one)
            let translated = try identity(frame(transport, contents, source: 9))
            #expect(translated.whole != one.whole && translated.contents == one.contents)
            #expect(try identity(frame(transport, contents + [0])).contents != one.contents)
        }
        #expect(try identity(frame(17, datagram("a"))).words == "UDP 10.0.0.1:1024 → 10.0.0.2:53")
        #expect(try identity(segment(5, 100)).segment?.length == 100)
        #expect(try identity(segment(5, 0)).segment == nil)
        #expect(FrameIdentity([1, 2, 3], length: 3) == nil)
    }

    @Test func `each frame is judged by what became of it on both sides`() throws {
        var comparison = ShadowComparison()
        let frames = try ["let", "held", "both", "let", "one"].map { try identity(frame(17, datagram($0))) }
        for entered in frames { comparison.enters(entered, isOutward: true) }
        for left in [frames[0], frames[3], frames[4]] { comparison.leaves(left, isOutward: true, .present) }
        comparison.leaves(frames[0], isOutward: true, .shadow)
        comparison.leaves(try identity(frame(17, datagram("let"), source: 9)), isOutward: true, .shadow)
        // What goes the other way is no answer.
        comparison.leaves(frames[4], isOutward: false, .shadow)
        let result = comparison.result()
        #expect(result.integer("outward") == 5 && result.integer("inward") == 0)
        #expect(result.integer("passed") == 1 && result.integer("held") == 2)
        #expect(result.integer("differing") == 2)
        let kinds = (result["differences"]?.elements ?? []).map {
            ($0.text("present") ?? "") + " " + ($0.text("shadow") ?? "")
        }
        #expect(Set(kinds) == ["passed changed", "passed held"])
    }

    @Test func `bytes of a connection may come together or apart`() throws {
        var comparison = ShadowComparison()
        // Over the end of the numbers.
        let start = UInt32.max - 1999
        for place in 0..<4 {
            comparison.enters(try identity(segment(start &+ UInt32(place) * 1000, 1000)), isOutward: false)
        }
        comparison.leaves(try identity(segment(start, 4000)), isOutward: false, .present)
        for place in [2, 0, 1, 3, 1] {
            comparison.leaves(try identity(segment(start &+ UInt32(place) * 1000, 1000)), isOutward: false, .shadow)
        }
        comparison.enters(try identity(segment(start &+ 4000, 1000)), isOutward: false)
        comparison.leaves(try identity(segment(start &+ 4000, 1000, source: 9)), isOutward: false, .present)
        comparison.leaves(try identity(segment(start &+ 4000, 999)), isOutward: false, .shadow)
        let result = comparison.result()
        #expect(result.integer("passed") == 4 && result.integer("differing") == 1)
        #expect(result["differences"]?.elements?.first?.text("present") == "changed")
        #expect(result["differences"]?.elements?.first?.text("shadow") == "held")
    }
}

@Suite(.enabled(if: mayRunEngines, Comment(rawValue: enginesTakeRoot)), .serialized)
struct ShadowTests {
    @Test func `a shadow gets what the other gets, lets nothing through, and is compared`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let (engine, _) = try TestComputer().engine()
                defer { engine.nameServers.endAll() }
                let machines = [try Place(1, "10.9.1.2"), try Place(2, "10.9.1.3")]
                _ = try Place.bridge(11, 12)
                let other = try Place.bridge(21, 22, named: "other")
                let ends = [UInt16(11), 12, 21, 22].map {
                    FabricPort(number: $0, network: nil, hardwareAddress: [2, 0, 0, 0, 0, 0])
                }
                var machine = port(1, "lan", "10.9.1.2")
                try engine.put(
                    change([network("lan", 1, "10.9.1.0/24")], ends + [machine, port(2, "lan", "10.9.1.3")]))
                machine.line = [InlineAppliance(name: "a", inside: 11, outside: 12, patienceMilliseconds: 1000)]
                try engine.put(change([], [machine]))
                #expect((0..<20).contains { _ in machines[0].reaches("10.9.1.3") })
                machine.line[0].shadow = InlineAppliance.Shadow(inside: 21, outside: 22)
                try engine.put(change([], [machine]))
                func compare() throws -> JSONValue {
                    try machines[0].startPing("10.9.1.3", to: "/run/ping")
                    sleep(nanoseconds: 200_000_000)
                    do throws(FabricFault) {
                        let watch = try ShadowWatch(present: (11, 12), shadow: (21, 22))
                        return watch.run(milliseconds: 1000) ?? .null
                    } catch {
                        report("\(error)")
                        throw error
                    }
                }
                var found = try compare()
                for _ in 0..<5 where found.integer("differing") != 0 { found = try compare() }
                var said: [UInt8] = []
                found.write(to: &said)
                report("a shadow: \(String(decoding: said, as: UTF8.self))")
                #expect((found.integer("outward") ?? 0) > 50 && (found.integer("inward") ?? 0) > 50)
                #expect(found.integer("differing") == 0 && found.integer("held") == 0)
                // One that holds back what comes from the machine.
                try other.shell("ip link set eth1 nomaster")
                let held = try compare()
                #expect((held.integer("differing") ?? 0) > 100)
                #expect(held["differences"]?.elements?.first?.text("shadow") == "held")
                // Nothing of it has come to the machines.
                var ping = ""
                for _ in 0..<600 where !ping.contains(" received") {
                    sleep(nanoseconds: 100_000_000)
                    ping = try run("/bin/cat", "/run/ping")
                }
                #expect(ping.contains("1000 received") && !ping.contains("duplicates"))
                // An end that nobody has is no shadow.
                machine.line[0].shadow = InlineAppliance.Shadow(inside: 31, outside: 22)
                #expect(throws: FabricFault.self) { try engine.put(change([], [machine])) }
                // Into the place of the other, and out again.
                machine.line[0].shadow = nil
                try engine.put(change([], [machine]))
                try other.shell("ip link set eth1 master br0")
                machine.line = [InlineAppliance(name: "b", inside: 21, outside: 22, patienceMilliseconds: 1000)]
                try engine.put(change([], [machine]))
                #expect(machines[0].reaches("10.9.1.3"))
            })
    }
}
