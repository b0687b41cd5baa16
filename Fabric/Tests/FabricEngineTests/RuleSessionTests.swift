import ChildPrograms
import FabricProtocol
import FabricRules
import LinuxCalls
import Testing

@testable import FabricEngine

/// The `nft` that is kept running, and what becomes of changes when it is not as it should be.
@Suite(.enabled(if: mayRunEngines, Comment(rawValue: enginesTakeRoot)), .serialized)
struct RuleSessionTests {
    @Test func `what is refused changes nothing, and the next change is made`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                _ = try TestComputer()
                let session = try RuleSession()
                #expect(session.set("add table bridge first\n"))
                let before = try run("/usr/sbin/nft", "list", "ruleset")
                for refused in [
                    // By nft, and by the kernel, which has begun by then.
                    "add table bridge second\nadd rule bridge second nowhere counter drop\n",
                    "add table bridge second\nadd chain bridge second c\ndelete table bridge first\ndelete table bridge third\n",
                    "add table bridge second\nthis is no rule\n",
                ] {
                    #expect(!session.set(refused))
                    #expect(try run("/usr/sbin/nft", "list", "ruleset") == before)
                    #expect(session.set("add table bridge first\n") && session.process != nil)
                }
            })
    }

    @Test func `one that is killed is replaced, and no change is lost`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let (engine, _) = try TestComputer().engine()
                defer { engine.nameServers.endAll() }
                let lan = network("lan", 1, "10.9.0.0/24")
                try engine.apply(change([lan], [port(1, "lan", "10.9.0.2")]))
                let first = try #require(engine.ruleSession.process)
                try Children.signal(first, SignalNumber.kill)
                try engine.apply(change([], [port(2, "lan", "10.9.0.3")]))
                #expect(try run("/usr/sbin/nft", "list", "set", "bridge", "swiftlet", "stations").contains("q2"))
                try engine.apply(change([], [port(3, "lan", "10.9.0.4")]))
                #expect(try run("/usr/sbin/nft", "list", "set", "bridge", "swiftlet", "stations").contains("q3"))
                let second = try #require(engine.ruleSession.process)
                #expect(first != second)
                // As the engine hears of it that serves.
                try Children.signal(second, SignalNumber.kill)
                _ = try Children.wait(for: second)
                engine.programEnded(second)
                #expect(engine.ruleSession.process == nil)
                try engine.apply(change(without: [1, 2]))
                let left = try run("/usr/sbin/nft", "list", "set", "bridge", "swiftlet", "stations")
                #expect(left.contains("q3") && !left.contains("q1") && !left.contains("q2"))
                #expect(engine.ruleSession.process != nil)
            })
    }

    @Test func `what others change of the rules meanwhile does not confuse it`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                _ = try TestComputer()
                let lan = network("lan", 1, "10.9.0.0/24")
                let session = try RuleSession()
                #expect(session.set(PortRules.frame + PortRules.text(of: port(1, "lan", "10.9.0.2"), in: lan)))
                let process = session.process
                try run("/usr/sbin/nft", "add table inet others; add chain inet others c; delete table bridge swiftlet")
                // What it has made is not there any more: it is not to think so.
                #expect(session.set(PortRules.frame + PortRules.text(of: port(2, "lan", "10.9.0.3"), in: lan)))
                #expect(session.process == process)
                let made = try run("/usr/sbin/nft", "list", "ruleset")
                try run("/usr/sbin/nft", "delete table bridge swiftlet")
                try Rules.set(PortRules.frame + PortRules.text(of: port(2, "lan", "10.9.0.3"), in: lan))
                let expected = try run("/usr/sbin/nft", "list", "ruleset")
                #expect(made == expected && made.contains("\"q2\"") && !made.contains("\"q1\""), "\(made)")
                // It may rest on what others have made, and may not on what they have taken away.
                #expect(session.set("add rule inet others c counter\n") && session.process == process)
                try run("/usr/sbin/nft", "delete chain inet others c")
                #expect(!session.set("add rule inet others c counter\n"))
            })
    }

    @Test func `one that does not answer is ended`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                _ = try TestComputer()
                let session = try RuleSession(patienceMilliseconds: 3000)
                // On a busy computer its start may take as long as that.
                for _ in 0..<3 where session.process == nil { _ = session.set("add table bridge first\n") }
                let process = try #require(session.process)
                // SIGSTOP
                try Children.signal(process, 19)
                #expect(!session.set("add table bridge second\n") && session.process == nil)
                #expect(throws: LinuxError.self) { try Children.signal(process, 0) }
            })
    }

    @Test func `it is another one after many changes, and ends with who has made it`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                _ = try TestComputer()
                var processes: Set<Int32> = []
                do {
                    let session = try RuleSession()
                    for turn in 0..<1500 {
                        #expect(session.set("add table bridge t\(turn % 2)\ndelete table bridge t\(turn % 2)\n"))
                        if let process = session.process { processes.insert(process) }
                    }
                }
                #expect(processes.count == 2)
                for process in processes {
                    #expect(throws: LinuxError.self) { try Children.signal(process, 0) }
                }
            })
    }

    @Test func `none is left by an engine that was killed`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let folder = try TestComputer().folder.path
                let network =
                    #"{"name":"lan","number":1,"prefixes":["10.9.0.0/24"],"mtu":1500,"reaches_outside":true,"private":false}"#
                let machine = #"{"number":1,"network":"lan","mac":"02:00:00:00:00:01","addresses":["10.9.0.2"]}"#
                let script = """
                    running() {
                        for p in /proc/[0-9]*; do
                            [ "$(readlink $p/ns/mnt)" = "$(readlink /proc/self/ns/mnt)" ] || continue
                            tr '\\0' ' ' 2> /dev/null < $p/cmdline | grep -q "$1" && echo ${p#/proc/}
                        done
                        true
                    }
                    echo '{"change":{"networks":[\(network)],"ports":[\(machine)]}}' > /run/r
                    \(engineProgram) start \(folder) && \(engineProgram) ask \(folder) /run/r || exit 1
                    [ -n "$(running '[/]nft -i')" ] || { echo none was there >&2; exit 1; }
                    kill -9 $(running '[e]xe serve')
                    for try in $(seq 600); do [ -z "$(running '[/]nft -i')" ] && break; sleep 0.1; done
                    left=$(running '[/]nft -i')
                    echo '{"end":{}}' > /run/r && \(engineProgram) ask \(folder) /run/r
                    [ -z "$left" ] || { echo it is left >&2; exit 1; }
                    """
                try run("/bin/bash", "-c", script)
            })
    }
}
