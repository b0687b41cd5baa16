import AgentProtocol
import Glibc
import LinuxCalls
import Synchronization
import Testing

@testable import Wiring

/// What a change of a running wire costs: in a process of its own each.
@Suite(.enabled(if: mayMakeNamespaces, "\(namespacesTakeRoot)"), .serialized)
struct SurgeryTests {
    @Test func `an appliance put into a wire and taken out again loses no packet of a steady flow`() async {
        let result = await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
            let fabric = try TestNamespace()
            var links = try Links()
            try links.set(try links.makeBridge("br0"), isUp: true)
            let first = try TestMachine(1, in: fabric)
            let second = try TestMachine(2, in: fabric)
            let appliance = try TestAppliance(in: fabric)
            var wires = try Wires()
            let flow = try Flow(from: first, to: second, packetsPerSecond: 8000)

            // Prepared aside; then both directions are switched at once.
            let behind = [
                Wire(from: appliance.inside, to: first.tap), Wire(from: appliance.outside, to: first.port),
            ]
            let inserted = [
                Wire(from: first.tap, to: appliance.inside), Wire(from: first.port, to: appliance.outside),
            ]
            let direct = [Wire(from: first.tap, to: first.port), Wire(from: first.port, to: first.tap)]
            try wires.connect(behind)
            try awaitCarrier(of: ["ai", "ao"])
            try appliance.namespace.within { try awaitCarrier(of: ["eth0", "eth1"]) }
            var longestSwitch: UInt64 = 0
            for _ in 0..<50 {
                for change in [inserted, direct] {
                    let begin = Clock.monotonic.nanoseconds()
                    try wires.connect(change)
                    longestSwitch = max(longestSwitch, Clock.monotonic.nanoseconds() - begin)
                    pause(milliseconds: 15)
                }
            }
            // What was on its way through it has gone through.
            pause(milliseconds: 1000)
            try wires.disconnect([appliance.inside, appliance.outside])
            let result = flow.end()
            let through = try appliance.namespace.within { try received("eth0") }
            report(
                "surgery: \(result.sent) packets, 100 switches, \(result.missing) lost, \(result.doubled) doubled, "
                    + "\(result.overtaken) overtaken, \(through) through the appliance; longest gap "
                    + "\(result.longestGapMicroseconds) us, longest switch \(longestSwitch / 1000) us")
            // A switch may take seconds where somebody else takes many links away.
            #expect(result.sent > 5000 && through > 1000)
            #expect(result.missing == 0 && result.doubled == 0)
        }
        show(result)
    }

    @Test func `two hundred machines are attached in a few milliseconds each`() async {
        let result = await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
            _ = try TestNamespace()
            var links = try Links()
            var wires = try Wires()
            let bridge = try links.makeBridge("br0")
            try links.set(bridge, isUp: true)
            var times: [UInt64] = []
            for number in 0..<UInt8(200) {
                let begin = Clock.monotonic.nanoseconds()
                let tap = "t" + ByteString(number)
                try TapDevices.make(tap, owner: nil)
                let first = try #require(try links.find(tap)).index
                let port = try links.makePair("p" + ByteString(number), peer: "q" + ByteString(number))
                let inner = try #require(try links.find("q" + ByteString(number))).index
                try links.set(inner, isUp: true, master: bridge)
                try wires.prepare(first)
                try wires.prepare(port)
                try wires.connect([Wire(from: first, to: port), Wire(from: port, to: first)])
                times.append(Clock.monotonic.nanoseconds() - begin)
            }
            let all = try links.list()
            #expect(all.filter { $0.master == bridge }.count == 200)
            #expect(try wires.connections(of: all.map(\.index)).count == 400)
            let begin = Clock.monotonic.nanoseconds()
            // The other ends of pairs go with them.
            try links.remove(all.filter { $0.kind == "tun" || $0.name.hasPrefix("p") }.map(\.index))
            let removal = (Clock.monotonic.nanoseconds() - begin) / 200
            #expect(try links.list().count == all.count - 600)
            times.sort()
            report(
                "attach: median \(times[100] / 1000) us, longest \(times[199] / 1000) us; detach: \(removal / 1000) us")
            // What is promised is measured by the benchmarks; a busy machine is allowed more.
            #expect(times[100] < 200_000_000)
        }
        show(result)
    }
}

/// For people: the parent shows it.
private func report(_ line: String) { try? writeAll(2, line + "\n") }

private func show(_ result: ExitTest.Result?) {
    print(String(decoding: result?.standardErrorContent ?? [], as: UTF8.self), terminator: "")
}

/// A steady flow of numbered packets from one machine to another.
private final class Flow: Sendable {
    struct Result {
        var sent = 0
        var missing = 0
        var doubled = 0
        /// Packets that came after one that was sent later.
        var overtaken = 0
        var longestGapMicroseconds: UInt64 = 0
    }

    private let isEnding = Atomic<Bool>(false)
    private let sent = Atomic<Int>(0)
    private let isSent = Atomic<Bool>(false)
    private let result = Mutex<Result?>(nil)

    init(from sender: TestMachine, to receiver: TestMachine, packetsPerSecond: UInt64) throws {
        let source = try sender.namespace.within { try TestSocket(port: 7000) }
        let sink = try receiver.namespace.within { try TestSocket(port: 7000) }
        // The machines know each other's addresses from here on.
        try source.reach(sink, at: [10, 9, 0, 2], port: 7000)
        try startThread { self.send(over: source, packetsPerSecond) }
        try startThread { self.receive(over: sink) }
    }

    private func send(over socket: TestSocket, _ packetsPerSecond: UInt64) {
        let begin = Clock.monotonic.nanoseconds()
        var number = 0
        while !isEnding.load(ordering: .acquiring) {
            let due = Int((Clock.monotonic.nanoseconds() - begin) * packetsPerSecond / 1_000_000_000)
            while number < due {
                let bytes = (0..<8).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
                if !socket.send(bytes + [UInt8](repeating: 0, count: 92), to: [10, 9, 0, 2], port: 7000) { break }
                number += 1
            }
            usleep(50)
        }
        sent.store(number, ordering: .releasing)
        isSent.store(true, ordering: .releasing)
    }

    private func receive(over socket: TestSocket) {
        var result = Result()
        var seen: [Bool] = []
        var last = Clock.monotonic.nanoseconds()
        var highest = -1
        // Nothing for two seconds is the end.
        while let bytes = socket.receive() {
            let now = Clock.monotonic.nanoseconds()
            let number = bytes.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
            while seen.count <= number { seen.append(false) }
            if seen[number] { result.doubled += 1 }
            seen[number] = true
            if number < highest { result.overtaken += 1 }
            highest = max(highest, number)
            result.longestGapMicroseconds = max(result.longestGapMicroseconds, (now - last) / 1000)
            last = now
        }
        while !isSent.load(ordering: .acquiring) { usleep(1000) }
        result.sent = sent.load(ordering: .acquiring)
        result.missing = result.sent - seen.filter { $0 }.count
        self.result.withLock { $0 = result }
    }

    func end() -> Result {
        isEnding.store(true, ordering: .releasing)
        while true {
            if let result = result.withLock({ $0 }) { return result }
            usleep(1000)
        }
    }
}
