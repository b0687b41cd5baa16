import APITestSupport
import Foundation
import Testing

@Suite struct CorpusTests {
    private static let targets: [(name: String, run: @Sendable ([UInt8]) -> Void)] = [
        ("api", fuzzAPI), ("configuration", fuzzConfiguration), ("metadata-path", fuzzMetadataPath),
    ]

    @Test(arguments: 0..<3) func `what the fuzzers found is asked again without a trap`(target: Int) throws {
        let (name, run) = Self.targets[target]
        let folder = URL(filePath: #filePath).appending(path: "../../../../Fuzz/Corpus/\(name)").standardized
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        #expect(!files.isEmpty)
        for file in files { run(Array(try Data(contentsOf: file))) }
    }
}
