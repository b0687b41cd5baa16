import Foundation
import ImageFixtures
import Testing

@Suite struct FuzzCorpusTests {
    @Test("every file of the fuzzing corpus is answered, not trapped on", arguments: imageFuzzTargets.map(\.name))
    func corpus(name: String) throws {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "Fuzz/Corpus/\(name)").path
        guard let target = imageFuzzTargets.first(where: { $0.name == name }) else { return }
        let files = try FileManager.default.contentsOfDirectory(atPath: folder)
        #expect(!files.isEmpty)
        for file in files { target.run(try readFile(folder + "/" + file)) }
    }

    @Test("archives changed at random places are answered, not trapped on", arguments: imageFuzzTargets.map(\.name))
    func mutations(name: String) throws {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "Fuzz/Corpus/\(name)").path
        guard let target = imageFuzzTargets.first(where: { $0.name == name }) else { return }
        var generator = SeededGenerator(seed: 42)
        for file in try FileManager.default.contentsOfDirectory(atPath: folder).sorted() {
            let whole = try readFile(folder + "/" + file)
            guard !whole.isEmpty else { continue }
            for _ in 0..<60 {
                var bytes = whole
                for _ in 0..<Int.random(in: 1...4, using: &generator) {
                    let offset = Int.random(in: 0..<bytes.count, using: &generator)
                    bytes[offset] = UInt8.random(in: 0...255, using: &generator)
                    // Most changes end at the checksum; put it right, so that the parser behind it is met too.
                    let header = offset / 512 * 512
                    if generator.chance(80), header + 512 <= bytes.count { fixChecksum(&bytes, header) }
                }
                target.run(bytes)
            }
        }
    }

    private func fixChecksum(_ bytes: inout [UInt8], _ header: Int) {
        for index in 148..<156 { bytes[header + index] = 32 }
        let sum = bytes[header..<(header + 512)].reduce(0) { $0 + Int($1) }
        let digits = String(sum, radix: 8)
        let text = Array((String(repeating: "0", count: max(0, 6 - digits.count)) + digits).utf8)
        for (index, byte) in (text + [0, 32]).enumerated() where index < 8 { bytes[header + 148 + index] = byte }
    }
}
