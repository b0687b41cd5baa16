import APITestSupport
import Foundation
import Testing

@Suite struct CorpusTests {
    @Test func `what the fuzzers found is asked again without a trap`() throws {
        let folder = URL(filePath: #filePath).appending(path: "../../../../Fuzz/Corpus/api").standardized
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        #expect(!files.isEmpty)
        for file in files { fuzzAPI(Array(try Data(contentsOf: file))) }
    }
}
