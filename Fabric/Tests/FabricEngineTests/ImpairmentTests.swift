import AgentProtocol
import ChildPrograms
import FabricProtocol
import Foundation
import LinuxCalls
import Testing
import WireFormats
import Wiring

@testable import FabricEngine

private func impairment(_ change: (inout Impairment) -> Void) -> Impairment {
    var impairment = Impairment()
    change(&impairment)
    return impairment
}

private func delay(milliseconds: UInt32) -> Impairment {
    impairment { $0.toNetwork.delayMicroseconds = milliseconds * 1000 }
}

/// Those of the thread's own mounts whose program has such arguments.
private func processes(_ arguments: String...) -> [Int32] {
    func mounts(_ process: String) -> String? {
        try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(process)/ns/mnt")
    }
    let wanted = Array(("\0" + arguments.joined(separator: "\0") + "\0").utf8)
    return ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap { name in
        guard let number = Int32(name), let line = EngineFolder.read("/proc/\(name)/cmdline", maximumBytes: 4096),
            line.indices.contains(where: { line[$0...].starts(with: wanted) }), mounts(name) == mounts("thread-self")
        else { return nil }
        return number
    }
}

/// Those of stretches.
private func processes(_ folder: EngineFolder) -> [Int32] { processes("impair", folder.path) }

/// Whether there is no such link in the thread's network.
private func isGone(_ name: ByteString) throws -> Bool {
    var links = try Links()
    return try links.find(name) == nil
}

extension ServedFabric {
    /// What has become of frames on machine 1's wire; nil when it is not impaired.
    fileprivate func stretch() throws -> (isInLine: Bool, toNetwork: JSONValue, toMachine: JSONValue)? {
        guard let state = try ask(.report)["stretches"]?.elements?.first, let isInLine = state.boolean("is_in_line"),
            let toNetwork = state["to_network"], let toMachine = state["to_machine"]
        else { return nil }
        return (isInLine, toNetwork, toMachine)
    }

    fileprivate func hasEnded() throws {
        try soon { processes(folder).isEmpty }
    }
}

/// Wires that are impaired, under numbered packets: by an engine that serves, in a process of its own each, whose network goes with
/// it.
@Suite(.enabled(if: mayRunEngines, Comment(rawValue: enginesTakeRoot)), .serialized)
struct ImpairmentTests {
    @Test func `no packet is lost when a wire is impaired, is so otherwise, and no more`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let fabric = try ServedFabric()
                defer { fabric.end() }
                let flow = try NumberedFlow(from: fabric.machine, to: fabric.other, packetsPerSecond: 2000)
                pause(200)
                var other = delay(milliseconds: 20)
                other.toNetwork.jitterMicroseconds = 15_000
                for _ in 0..<10 {
                    try fabric.set([], delay(milliseconds: 50))
                    pause(60)
                    try fabric.set([], other)
                    pause(60)
                    try fabric.set([])
                    pause(60)
                }
                // It is gone when nobody waits in it any more.
                try soon { try isGone("x1") }
                try fabric.hasEnded()
                #expect(!FileManager.default.fileExists(atPath: fabric.folder.stretchPage(1)))
                let result = flow.end()
                report(
                    "impaired and not: \(result.sent) packets, \(result.missing) lost, \(result.overtaken) overtaken")
                #expect(result.missing == 0 && result.doubled == 0)
                #expect(result.sent > 3000 && result.overtaken > 100)
            })
    }

    @Test func `packets are under way for as long as was said, at least, and only the way that was said`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let fabric = try ServedFabric()
                defer { fabric.end() }
                let flow = try NumberedFlow(from: fabric.machine, to: fabric.other, packetsPerSecond: 500)
                pause(200)
                for milliseconds in [UInt32(40), 150, 5] {
                    try fabric.set([], delay(milliseconds: milliseconds))
                    // Those before are still under way.
                    pause(300)
                    _ = flow.takeShortestDelay()
                    pause(300)
                    let shortest = flow.takeShortestDelay()
                    report("delayed by \(milliseconds) ms: \(shortest) us at least")
                    #expect(shortest >= UInt64(milliseconds) * 1000)
                }
                // The other way they are not.
                try fabric.set([], impairment { $0.toMachine.delayMicroseconds = 500_000 })
                try soon {
                    pause(50)
                    return flow.takeShortestDelay() < 5000
                }
                try fabric.set([])
                try soon {
                    pause(50)
                    return flow.takeShortestDelay() < 5000
                }
                #expect(flow.end().missing == 0)
            })
    }

    @Test func `as many are lost as was said and told, and no other`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let fabric = try ServedFabric()
                defer { fabric.end() }
                let flow = try NumberedFlow(from: fabric.machine, to: fabric.other, packetsPerSecond: 4000)
                pause(200)
                try fabric.set([], impairment { $0.toNetwork.lossMillipercent = 30_000 })
                try soon { try fabric.stretch()?.toNetwork.integer("frames") ?? 0 > 8000 }
                let before = try #require(try fabric.stretch()?.toNetwork)
                let (some, frames) = (before.integer("lost") ?? 0, before.integer("frames") ?? 0)
                try fabric.set([], impairment { $0.toNetwork.duplicateMillipercent = 100_000 })
                try soon { try fabric.stretch()?.toNetwork.integer("duplicated") ?? 0 > 100 }
                try fabric.set([], Impairment())
                let result = flow.end()
                // All that was sent has gone through.
                let counts = try #require(try fabric.stretch()?.toNetwork)
                let (lost, doubled) = (counts.integer("lost") ?? 0, counts.integer("duplicated") ?? 0)
                report(
                    "lossy: \(some) of \(frames); \(lost), \(result.missing) missing; \(doubled), \(result.doubled) doubled"
                )
                #expect(Double(some) > 0.25 * Double(frames) && Double(some) < 0.35 * Double(frames))
                #expect(result.missing == Int(lost) && result.doubled == Int(doubled))
            })
    }

    @Test func `a wire that lets nothing through is not held against an appliance in it`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let fabric = try ServedFabric()
                defer { fabric.end() }
                let flow = try NumberedFlow(from: fabric.machine, to: fabric.other, packetsPerSecond: 1000)
                let carrier = try Carrier(11, 12)
                pause(200)
                let all = impairment {
                    $0.toNetwork.lossMillipercent = 100_000
                    $0.toMachine.lossMillipercent = 100_000
                }
                try fabric.set([appliance("a", 11, patience: 5000)], all)
                let before = carrier.carried
                pause(1500)
                #expect(try fabric.state(of: 11) == (isFailing: false, isInLine: true))
                #expect(flow.takeLongestGap() > 1_000_000)
                try soon { carrier.carried > before }
                // It goes, and the wire stays as it is; and the other way round.
                try fabric.set([], all)
                pause(200)
                #expect(flow.takeLongestGap() > 150_000)
                try fabric.set([appliance("a", 11, patience: 5000)])
                try soon {
                    _ = flow.takeLongestGap()
                    pause(100)
                    return flow.takeLongestGap() < 90_000
                }
                _ = flow.end()
            })
    }

    @Test func `when its process is killed the wire leads past it, and through a new one again`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                // One that begins only while it may.
                let script = "/tmp/impair-\(getpid())"
                let leave = script + ".may"
                defer { for file in [script, leave] { try? FileManager.default.removeItem(atPath: file) } }
                try "#!/bin/sh\n[ -e \(leave) ] && exec \(engineProgram) \"$@\"\n".write(
                    toFile: script, atomically: true, encoding: .utf8)
                try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: script)
                try Data().write(to: URL(filePath: leave))
                let fabric = try ServedFabric(program: ByteString(script))
                defer { fabric.end() }
                let flow = try NumberedFlow(from: fabric.machine, to: fabric.other, packetsPerSecond: 1000)
                pause(200)
                try fabric.set([], delay(milliseconds: 100))
                for _ in 0..<3 {
                    try soon {
                        _ = flow.takeShortestDelay()
                        pause(150)
                        return flow.takeShortestDelay() >= 100_000
                    }
                    let old = try #require(processes(fabric.folder).first)
                    try FileManager.default.removeItem(atPath: leave)
                    _ = flow.takeShortestDelay()
                    let killed = Clock.monotonic.nanoseconds()
                    try Children.signal(old, SignalNumber.kill)
                    try soon { flow.takeShortestDelay() < 100_000 }
                    report(
                        "one that is killed is gone around after \((Clock.monotonic.nanoseconds() - killed) / 1000) us")
                    #expect(try fabric.stretch()?.isInLine == false)
                    try Data().write(to: URL(filePath: leave))
                    try soon { try fabric.stretch()?.isInLine == true }
                    #expect(!processes(fabric.folder).contains(old))
                }
                try fabric.set([])
                try fabric.hasEnded()
                _ = flow.end()
            })
    }

    /// As a debugger does, or somebody by hand.
    @Test func `one whose process is stopped is taken out all the same`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let fabric = try ServedFabric()
                defer { fabric.end() }
                let flow = try NumberedFlow(from: fabric.machine, to: fabric.other, packetsPerSecond: 500)
                try fabric.set([], delay(milliseconds: 200))
                try soon { try fabric.stretch()?.toNetwork.integer("waiting") ?? 0 > 10 }
                let process = try #require(processes(fabric.folder).first)
                try Children.signal(process, SignalNumber.stop)
                defer { try? Children.signal(process, SignalNumber.proceed) }
                try fabric.set([])
                // It stays no longer than anything could wait in it.
                try soon { !FileManager.default.fileExists(atPath: fabric.folder.stretchPage(1)) }
                #expect(try isGone("x1") && isGone("y1"))
                let result = flow.end()
                report("one that is stopped: \(result.sent) packets, \(result.missing) lost")
                #expect(result.missing > 10)
                try Children.signal(process, SignalNumber.proceed)
                try fabric.hasEnded()
            })
    }

    @Test func `one that cannot begin is not switched to, and nothing else is touched`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let fabric = try ServedFabric(program: "/bin/false")
                defer { fabric.end() }
                let flow = try NumberedFlow(from: fabric.machine, to: fabric.other, packetsPerSecond: 1000)
                pause(200)
                #expect(throws: FabricFault.self) { try fabric.set([], delay(milliseconds: 10)) }
                #expect(try fabric.stretch() == nil)
                try soon { try isGone("x1") }
                #expect(flow.end().missing == 0)
            })
    }

    @Test func `an engine that was killed is missed by nobody, and the next one takes over`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let computer = try TestComputer()
                let folder = computer.folder
                let program = engineProgram
                func ask(_ change: FabricChange) throws {
                    var bytes: [UInt8] = []
                    FabricRequest.change(change).document.write(to: &bytes)
                    try EngineFolder.write(bytes, to: "/run/r")
                    try run(program, "ask", folder.path, "/run/r")
                }
                func engine() -> [Int32] { processes("serve", folder.path) }
                defer { for left in engine() + processes(folder) { try? Children.signal(left, SignalNumber.kill) } }
                let lan = FabricNetwork(name: "lan", number: 1, prefixes: [])
                var machine = port(1, "lan", "")
                machine.impairment = delay(milliseconds: 100)
                try run(program, "start", folder.path)
                try ask(change([lan], [machine, port(2, "lan", "")]))
                try EngineProcess.join(folder)
                for tap in ["t1", "t2"] { try run("/usr/sbin/ip", "link", "set", tap, "txqueuelen", "50000") }
                let flow = try NumberedFlow(from: machine, to: port(2, "lan", ""), packetsPerSecond: 1000)
                try soon { flow.takeShortestDelay() < 1_000_000 }
                let process = try #require(processes(folder).first)
                let old = try #require(engine().first)
                try Children.signal(old, SignalNumber.kill)
                try soon { !engine().contains(old) }
                _ = flow.takeShortestDelay()
                pause(300)
                #expect(flow.takeShortestDelay() >= 100_000 && processes(folder) == [process])
                // Another one is started by whoever asks.
                machine.impairment = delay(milliseconds: 30)
                try ask(change([], [machine]))
                try soon {
                    let delay = flow.takeShortestDelay()
                    pause(100)
                    return delay >= 30_000 && delay < 100_000
                }
                #expect(processes(folder) == [process])
                #expect(flow.end().missing == 0)
                // Killed once more, and nobody needs it any more: nothing stays.
                try Children.signal(try #require(engine().first), SignalNumber.kill)
                try ask(change(without: [1, 2]))
                try soon { processes(folder).isEmpty && engine().isEmpty }
                try soon { !FileManager.default.fileExists(atPath: folder.namespace) }
                #expect(!FileManager.default.fileExists(atPath: folder.stretchPage(1)))
            })
    }

    /// Of TCP the kernel hands over up to 64 KiB at once, with sums that are still to be made.
    @Test func `long segments pass as they are`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let computer = try TestComputer()
                let (engine, _) = try computer.engine()
                engine.program = ByteString(engineProgram)
                defer { engine.nameServers.endAll() }
                let (one, other) = (try Place(1, "10.9.0.2"), try Place(2, "10.9.0.3"))
                var machine = port(1, "lan", "10.9.0.2")
                machine.impairment = delay(milliseconds: 1)
                let lan = network("lan", 1, "10.9.0.0/24")
                try engine.put(change([lan], [port(1, "lan", "10.9.0.2"), port(2, "lan", "10.9.0.3")]))
                try engine.put(change([lan], [machine]))
                try other.shell(
                    """
                    cat > /run/server.py << 'E'
                    import hashlib, socket
                    server = socket.create_server(("10.9.0.3", 5000))
                    open("/run/ready", "w")
                    client, _ = server.accept()
                    digest = hashlib.sha256()
                    while data := client.recv(1 << 20): digest.update(data)
                    client.sendall(digest.hexdigest().encode())
                    E
                    setsid python3 /run/server.py > /dev/null 2>&1 &
                    """)
                try soon { FileManager.default.fileExists(atPath: "/run/ready") }
                let said = try one.shell(
                    """
                    python3 -c '
                    import hashlib, random, socket
                    data = random.randbytes(40 << 20)
                    client = socket.create_connection(("10.9.0.3", 5000))
                    client.sendall(data)
                    client.shutdown(socket.SHUT_WR)
                    print(client.recv(100).decode() == hashlib.sha256(data).hexdigest())'
                    """)
                #expect(said == "True")
                let counts = engine.stretchReports.first?["to_network"]
                let frames = counts?.integer("frames") ?? 0
                report("40 MiB in \(frames) frames")
                // Cut up they would be 29,000.
                #expect((600..<15_000).contains(frames) && counts?.integer("lost") == 0)
                try engine.put(change(without: [1, 2]))
                try soon { processes(computer.folder).isEmpty }
            })
    }
}
