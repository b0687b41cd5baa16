import ArgumentParser
import ImageStore

struct ImageVerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Read an image's whole disk and compare every block with its hash tree.",
        discussion: """
            Exit status: 0 when all is right, 1 when something is damaged. A damaged image is mended by pulling, loading or
            importing it again, and so are the others that share the damaged layer.

            Example:
              swiftlet image verify busybox
            """)
    @Argument(help: "Its name or digest.", completion: Completions.images) var image: String
    @OptionGroup var format: FormatOptions

    func run() throws {
        let store = ImageCommand.store
        let image = try store.resolve(ImageCommand.storedName(image))
        let bar = ProgressBar()
        let damage = try store.verify(image) {
            bar.show(
                "verifying", done: Double($0) / Double(max(image.dataBlockCount, 1)), detail: Units.size($0 * 4096))
        }
        bar.finish()
        if format.isJSON {
            Output.json(Document(image, damage))
        } else if damage.isEmpty {
            Output.line("\(image.names.first ?? image.digest): \(image.dataBlockCount) blocks are right")
        } else {
            // Of many, the first say where to look.
            for each in damage.prefix(20) { Output.line("block \(each.block) is damaged, in \(each.part.name)") }
            if damage.count > 20 { Output.line("and \(damage.count - 20) more") }
        }
        if !damage.isEmpty { throw ExitStatusError(status: 1) }
    }

    private struct Document: Encodable {
        struct Block: Encodable {
            let block: UInt64
            let part: String
        }

        let digest: String
        let checkedBlocks: UInt64
        let damage: [Block]

        init(_ image: StoredImage, _ damage: [DiskDamage]) {
            digest = image.digest
            checkedBlocks = image.dataBlockCount
            self.damage = damage.map { Block(block: $0.block, part: $0.part.name) }
        }
    }
}

extension DiskPart {
    fileprivate var name: String { "\(kind.rawValue) \(digits.prefix(12))" }
}
