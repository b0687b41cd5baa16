import Foundation
import Testing
import VirtioTestSupport

/// Programs of bad drivers. A failure ends the process: what was running is printed before.
@Suite struct BadDriverTests {
    static let targets: [(name: String, run: @Sendable ([UInt8]) -> Void)] = [
        ("queue", VirtioFuzzTargets.queue), ("entropy", VirtioFuzzTargets.entropy), ("block", VirtioFuzzTargets.block),
        ("vsock", VirtioFuzzTargets.vsock), ("net", VirtioFuzzTargets.net), ("balloon", VirtioFuzzTargets.balloon),
        ("file-system", VirtioFuzzTargets.fileSystem), ("folder", VirtioFuzzTargets.folder),
        ("snapshot", VirtioFuzzTargets.snapshot), ("memory", VirtioFuzzTargets.memory),
        ("persistent-memory", VirtioFuzzTargets.persistentMemory),
        ("vhost-user", VirtioFuzzTargets.vhostUser),
    ]

    @Test(arguments: 0..<12) func `a driver gone mad does no harm`(target: Int) {
        let (name, run) = Self.targets[target]
        let seed = UInt64.random(in: 0 ... .max)
        print("\(name): seed \(seed)")
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<300 {
            let count = Int(generator.next() % 600)
            run((0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next()) })
        }
    }

    /// What the fuzzers found worth keeping: Fuzz/Corpus beside the packages.
    @Test(arguments: 0..<12) func `every input of the corpus is served`(target: Int) throws {
        let (name, run) = Self.targets[target]
        let folder = URL(filePath: #filePath).appending(path: "../../../../Fuzz/Corpus/\(name)").standardized
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        try #require(!files.isEmpty)
        for file in files.sorted(by: { $0.path < $1.path }) {
            print("\(name): \(file.lastPathComponent)")
            run(Array(try Data(contentsOf: file)))
        }
    }
}
