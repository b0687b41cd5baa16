import ChildPrograms
import FabricProtocol
import FabricRules
import Foundation
import LinuxCalls
import Testing
import Wiring

@testable import FabricEngine

/// How long something takes.
private func nanoseconds(_ body: () throws -> Void) rethrows -> UInt64 {
    let begin = Clock.monotonic.nanoseconds()
    try body()
    return Clock.monotonic.nanoseconds() - begin
}

private func median(_ times: ArraySlice<UInt64>) -> UInt64 { times.sorted()[times.count / 2] / 1000 }

@Suite(.enabled(if: mayRunEngines, Comment(rawValue: enginesTakeRoot)), .serialized)
struct EngineTests {
    @Test func `the five-hundredth machine is plugged in as fast as the first`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let (engine, _) = try TestComputer().engine()
                defer { engine.nameServers.endAll() }
                let lan = network("lan", 1, "10.9.0.0/16")
                var times: [UInt64] = []
                var rules: [UInt64] = []
                func machine(_ number: UInt16) -> FabricPort {
                    port(number, "lan", "10.9.\(number / 250 + 1).\(number % 250 + 1)")
                }
                for number in UInt16(1)...500 {
                    // Those between are plugged in together.
                    if (51...450).contains(number) {
                        if number == 51 { try engine.apply(change([lan], (51...450).map(machine))) }
                        continue
                    }
                    times.append(try nanoseconds { try engine.apply(change([lan], [machine(number)])) })
                    let another = port(number + 1000, "lan", "10.9.9.9")
                    rules.append(try nanoseconds { try engine.setRules(PortRules.text(of: another, in: lan)) })
                    try engine.setRules(PortRules.removal(of: another, in: lan))
                }
                report(
                    "plug in: median of the first 50 \(median(times[..<50])) us (nft \(median(rules[..<50])) us), "
                        + "of the last 50 \(median(times[50...])) us (nft \(median(rules[50...])) us)")
                let again = try engine.plan.after(change(without: [250]))
                #expect(again.ports.count == 499 && engine.plan.ports.count == 500)
                let gone = try nanoseconds { try engine.apply(change(without: [250])) }
                report("unplug: \(gone / 1000) us")
                // What is promised is measured by people; a busy machine is allowed more.
                #expect(median(times[50...]) < 3 * median(times[..<50]) + 5000)
            })
    }

    @Test func `what fails is put back, wherever it fails`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let computer = try TestComputer()
                let (engine, _) = try computer.engine()
                defer { engine.nameServers.endAll() }
                let lan = network("lan", 1, "10.9.0.0/24")
                try engine.apply(change([lan], [port(1, "lan", "10.9.0.2")]))
                let before = engine.plan
                // A bridge's port of that name that is none: the links of the second cannot be made.
                try run("/usr/sbin/ip", "link", "add", "q2", "type", "bridge")
                #expect(throws: FabricFault.self) {
                    try engine.apply(change([lan], [port(2, "lan", "10.9.0.3")]))
                }
                #expect(engine.plan == before)
                try run("/usr/sbin/ip", "link", "delete", "q2")
                try engine.apply(change([lan], [port(2, "lan", "10.9.0.3")]))
                // What cannot be written down is not so.
                try run("/bin/mkdir", computer.folder.plan + ".new")
                #expect(throws: FabricFault.self) { try engine.apply(change(isWhole: true)) }
                try run("/bin/rmdir", computer.folder.plan + ".new")
                #expect(engine.plan.ports.count == 2 && succeeds("/usr/sbin/ip", "link", "show", "t2"))
                // Somebody has emptied the rules: taking a port away minds nothing that is not there.
                try run("/usr/sbin/nft", "flush", "ruleset")
                try engine.apply(change(without: [2]))
                #expect(engine.plan == before)
                #expect(!succeeds("/usr/sbin/ip", "link", "show", "t2"))
            })
    }

    @Test func `what was told change by change is taken up as a whole`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let computer = try TestComputer()
                let (first, _) = try computer.engine()
                let lan = network("lan", 1, "10.9.0.0/24")
                for number in UInt16(1)...5 {
                    try first.apply(change([lan], [port(number, "lan", "10.9.0.\(number + 1)")]))
                }
                try first.apply(change(without: [2]))
                let told = first.plan
                first.nameServers.endAll()
                // One that was killed while it wrote: nobody was told that that had been done.
                let file = try LinuxCalls.open(computer.folder.plan, [.writeOnly, .append])
                try writeAll(file.number, "{\"change\":{\"removed_ports\":[3")
                let second = try Engine(computer.folder)
                defer { second.nameServers.endAll() }
                try second.resume()
                #expect(second.plan == told)
                try second.apply(change(without: [4]))
                #expect(try PlanRecord(computer.folder.plan).read() == second.plan)
            })
    }

    @Test func `changes are gathered, and written anew as a whole when they are many`() throws {
        let path = "/tmp/plan-\(UInt32.random(in: .min ... .max))"
        defer { try? removeFile(path) }
        let record = PlanRecord(path)
        var plan = FabricPlan()
        let lan = network("lan", 1, "10.9.0.0/24")
        for turn in 0..<500 {
            let next =
                turn % 2 == 0
                ? change([lan], [port(1, "lan", "10.9.0.2"), port(2, "lan", "10.9.0.3")]) : change(without: [1])
            plan = try plan.after(next)
            try record.note(next, leadingTo: plan)
        }
        #expect(try PlanRecord(path).read() == plan)
        #expect(try FileTree.facts(Array(path.utf8)).sizeBytes < 100_000)
    }

    @Test func `who asks an engine that does not answer is told`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let computer = try TestComputer()
                let listener = try UnixSocket.listen(computer.folder.socket, backlog: 4)
                let begin = Clock.monotonic.nanoseconds()
                do {
                    _ = try EngineProcess.ask(computer.folder, Array("{}".utf8), patienceMilliseconds: 1000)
                    Issue.record("an answer came from nobody")
                } catch { #expect("\(error)".contains("not in 1 seconds"), "\(error)") }
                #expect(Clock.monotonic.nanoseconds() - begin < 60_000_000_000)
                // So is who waits for a program that does not end.
                let outcome = Programs.run(["/bin/sleep", "100"], patienceNanoseconds: 100_000_000)
                #expect(!outcome.hasSucceeded && !outcome.complaint.description.isEmpty)
                _ = consume listener
            })
    }

    @Test func `an engine that nobody plugs anything into ends, whoever has asked it for what`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let computer = try TestComputer()
                let (engine, _) = try computer.engine()
                let server = try EngineServer(engine, computer.folder, idleNanoseconds: 300_000_000)
                // Takes away what is not there, and asks for what cannot be.
                let requests = [
                    #"{"change":{"removed_ports":[7]}}"#, #"{"change":{"removed_networks":["lan"]}}"#,
                    #"{"report":{}}"#,
                    #"{"change":{"ports":[{"number":1,"network":"no","mac":"02:00:00:00:00:01"}]}}"#,
                ]
                let asking = requests.map { "\(engineProgram) ask \(computer.folder.path) /dev/stdin <<< '\($0)'" }
                let asker = try Programs.start(["/bin/bash", "-c"] + [.init(asking.joined(separator: "; "))])
                let time = nanoseconds { server.run() }
                #expect(server.wasEnded && time > 250_000_000 && time < 60_000_000_000, "\(time)")
                _ = try? Children.wait(for: asker)
            })
    }

    @Test func `who asks after an engine was killed is answered, and nothing is left for ever`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let folder = try TestComputer().folder.path
                let machine = #"{"number":1,"network":"lan","mac":"02:00:00:00:00:01","addresses":["10.9.0.2"]}"#
                let network =
                    #"{"name":"lan","number":1,"prefixes":["10.9.0.0/24"],"mtu":1500,"reaches_outside":true,"private":false}"#
                func ask(_ change: String) throws {
                    try run(
                        "/bin/sh", "-c",
                        "echo '{\"change\":{\(change)}}' > /run/r; \(engineProgram) ask \(folder) /run/r")
                }
                try run(engineProgram, "start", folder)
                try ask(#""networks":[\#(network)],"ports":[\#(machine)]"#)
                try run(
                    "/bin/sh", "-c",
                    """
                    for p in /proc/[0-9]*; do
                        [ "$(readlink $p/ns/mnt)" = "$(readlink /proc/self/ns/mnt)" ] || continue
                        tr '\\0' ' ' 2> /dev/null < $p/cmdline | grep -q '[e]xe serve' && kill -9 ${p#/proc/}
                    done
                    sleep 0.1
                    """)
                // As the end of the machine does.
                try ask(#""removed_ports":[1]"#)
                try run(
                    "/bin/sh", "-c", "for n in $(seq 100); do [ -e \(folder)/netns ] || break; sleep 0.1; done; true")
                #expect(!succeeds("/bin/ls", folder + "/netns") && !succeeds("/bin/ls", folder + "/plan.json"))
                // Where nothing is left, none is started.
                #expect(throws: FabricFault.self) { try ask(#""removed_ports":[1]"#) }
                #expect(!succeeds("/bin/ls", folder + "/netns"))
            })
    }

    /// Two are many already; a hundred are what a script starts at once.
    @Test(arguments: [2, 100]) func `first machines at once have one fabric, and leave none`(count: Int) async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) { [count] in
                let computer = try TestComputer()
                let folder = computer.folder.path
                let script = """
                    cd /run
                    network='{"name":"lan","number":1,"prefixes":["10.9.0.0/16"],"mtu":1500,"reaches_outside":true,"private":false}'
                    tell() {
                        for try in 1 2 3; do
                            \(engineProgram) start \(folder) || continue
                            \(engineProgram) ask \(folder) $1 > /run/answer-$1 2>&1 && return
                        done
                        echo $1: $(cat /run/answer-$1) >> /run/failed
                    }
                    for n in $(seq \(count)); do
                        echo '{"change":{"networks":['$network'],"ports":[{"number":'$n',"network":"lan",' \\
                            '"mac":"02:00:00:00:01:'$(printf %02x $n)'","addresses":["10.9.1.'$n'"],"names":["m'$n'"]}]}}' > in-$n
                    done
                    for n in $(seq \(count)); do tell in-$n & done
                    wait
                    ls /run/failed 2> /dev/null && cat /run/failed >&2
                    [ $(nsenter --net=\(folder)/netns ip -o link | grep -c ' t[0-9]*:') = \(count) ] || echo not all >> /run/failed
                    echo '{"end":{}}' > out && \(engineProgram) ask \(folder) out
                    for try in $(seq 100); do [ -e \(folder)/netns ] || break; sleep 0.1; done
                    ls \(folder) | grep -v lock >> /run/failed
                    ip link show swiftlet-up0 2> /dev/null >> /run/failed
                    nft list tables >> /run/failed
                    cat /run/failed
                    [ ! -s /run/failed ]
                    """
                let time = try nanoseconds { try run("/bin/bash", "-c", script) }
                report("\(count) machines at once in and out: \(time / 1_000_000) ms")
            })
    }
}
