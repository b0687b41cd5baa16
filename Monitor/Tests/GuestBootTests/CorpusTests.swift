import BootTestSupport
import Foundation
import Testing

@Suite struct CorpusTests {
    @Test(arguments: ["elf", "bzimage"])
    func `what the fuzzers found is taken again without a trap`(name: String) throws {
        let folder = URL(filePath: #filePath).appending(path: "../../../../Fuzz/Corpus/\(name)").standardized
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        #expect(!files.isEmpty)
        for file in files { fuzzKernelImage(Array(try Data(contentsOf: file))) }
    }
}
