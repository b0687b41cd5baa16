import AgentProtocol
import ChildPrograms
import FabricProtocol
import LinuxCalls
import Testing
import WireFormats

@testable import FabricEngine

/// The program that compares, over ends that nothing goes through.
@Suite(.enabled(if: mayRunEngines, Comment(rawValue: enginesTakeRoot)), .serialized)
struct ShadowWatchTests {
    private static func arguments(_ folder: EngineFolder, milliseconds: Int) -> [ByteString] {
        [ByteString(engineProgram), "compare", ByteString(folder.path), ByteString(UInt64(milliseconds))]
            + ["11", "12", "21", "22"]
    }

    private static func engine(_ computer: TestComputer) throws -> Engine {
        let (engine, _) = try computer.engine()
        try engine.put(
            change(
                [],
                [UInt16(11), 12, 21, 22].map {
                    FabricPort(number: $0, network: nil, hardwareAddress: [2, 0, 0, 0, 0, 0])
                }))
        return engine
    }

    /// What the kernel says of a process; empty when it is gone.
    private static func status(_ process: Int32, _ name: String) -> String {
        let text = EngineFolder.read("/proc/\(process)/status", maximumBytes: 16 << 10) ?? []
        let line = String(decoding: text, as: UTF8.self).split(separator: "\n").first { $0.hasPrefix(name + ":") }
        return line.map { $0.dropFirst(name.count + 1).filter { $0 != "\t" } } ?? ""
    }

    @Test func `whoever compares has no rights left, and ends with who has asked`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let computer = try TestComputer()
                let engine = try Self.engine(computer)
                defer { engine.nameServers.endAll() }
                let input = try PipePair()
                let output = try PipePair()
                let process = try Children.start(
                    ChildCommand(
                        candidates: [Array(engineProgram.utf8)],
                        arguments: Self.arguments(computer.folder, milliseconds: 600_000).map { $0.bytes },
                        environment: [],
                        standardDescriptors: (input.reading.number, output.writing.number, output.writing.number)))
                let lifeline = try input.writing.duplicate()
                _ = consume input
                // SECCOMP_MODE_FILTER
                try soon { Self.status(process, "Seccomp") == "2" }
                #expect(Self.status(process, "CapEff") == "0000000000000000")
                #expect(Self.status(process, "CapPrm") == "0000000000000000")
                // It would go on for ten minutes.
                pause(200)
                #expect(Self.status(process, "Seccomp") == "2")
                _ = consume lifeline
                #expect(try Children.wait(for: process, patienceNanoseconds: 20_000_000_000) == .exited(1))
            })
    }

    @Test func `what it has seen is told with the rights that are left`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let computer = try TestComputer()
                let engine = try Self.engine(computer)
                defer { engine.nameServers.endAll() }
                // A file as standard input says nothing of anybody.
                let outcome = Programs.run(
                    Self.arguments(computer.folder, milliseconds: 200), patienceNanoseconds: 60_000_000_000)
                #expect(outcome.hasSucceeded, "\(outcome.complaint)")
                let told = try JSONParser.parse(outcome.output.bytes)
                #expect(told.integer("outward") == 0 && told.integer("differing") == 0)
            })
    }
}
