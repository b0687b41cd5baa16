import AgentTestSupport
import Foundation
import Testing

@testable import AgentProtocol

@Suite struct FuzzReplayTests {
    private static let corpus = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Fuzz/Corpus")

    private func inputs(_ target: String) throws -> [[UInt8]] {
        let folder = Self.corpus.appendingPathComponent(target)
        return try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted().map {
            [UInt8](try Data(contentsOf: folder.appendingPathComponent($0)))
        }
    }

    @Test func everyInputOfTheCorporaIsReadWithoutATrap() throws {
        for (target, run) in [
            ("agent-host", AgentFuzzTargets.host), ("agent-guest", AgentFuzzTargets.guest),
            ("agent-files", AgentFuzzTargets.files), ("floppy", AgentFuzzTargets.floppy),
            ("appliances", AgentFuzzTargets.appliances),
        ] {
            let inputs = try inputs(target)
            #expect(!inputs.isEmpty)
            for input in inputs { run(input) }
        }
    }

    @Test func mutatedMessagesAreReadWithoutATrap() {
        var generator = SeededGenerator(seed: 11)
        for _ in 0..<300 {
            let streams = [
                generator.hostMessages().flatMap { Frame($0).encoded() },
                generator.agentMessages().flatMap { Frame($0).encoded() },
                generator.transferMessages().flatMap { Frame($0).encoded() },
            ]
            for var stream in streams {
                for _ in 0..<generator.below(4) { stream[generator.below(stream.count)] = generator.integer() }
                AgentFuzzTargets.host(stream)
                AgentFuzzTargets.guest(stream)
                AgentFuzzTargets.files(stream)
            }
        }
    }
}
