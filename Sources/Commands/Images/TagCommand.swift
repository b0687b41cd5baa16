import ArgumentParser
import ImageStore
import ImageTransfer

struct TagCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tag", abstract: "Give an image one more name.",
        discussion: """
            An image that had the name loses it, and is removed when that was its last.

            Examples:
              swiftlet tag busybox localhost:5000/team/box:1
              swiftlet tag 4f0c12ab web
            """)
    @Argument(help: "Its name or digest.", completion: Completions.images) var image: String
    @Argument(help: "The new name.") var name: String
    @OptionGroup var format: FormatOptions

    func run() throws {
        let name = ImageNaming.stored(name)
        let tagged = try ImageCommand.store.tag(ImageCommand.storedName(image), as: name)
        if format.isJSON { return Output.json(ImageDocument(tagged)) }
        Output.line("\(name): \(tagged.shortDigest)")
    }
}
