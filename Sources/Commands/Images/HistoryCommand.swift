import ArgumentParser
import Fleet
import ImageStore

struct HistoryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history", abstract: "Show the steps in which an image was built, the newest first.",
        discussion: """
            SIZE is that of the layer which the step made, as registries store it.

            Example:
              swiftlet history docker.io/library/busybox
            """)
    @Flag(help: "Print commands and comments whole.") var noTrunc = false
    @Argument(help: "A name or digest.", completion: Completions.images) var image: String
    @OptionGroup var format: FormatOptions

    private static let commandWidth = 60

    func run() throws {
        let stored = try ImageCommand.resolve(image)
        var steps: [HistoryDocument]
        if stored.manifest == nil {
            steps = [HistoryDocument(importing: stored)]
        } else {
            steps = try ImageCommand.store.parts(of: stored).history.reversed().map(HistoryDocument.init)
        }
        if format.isJSON { return Output.json(steps) }
        var table = Table("CREATED", "SIZE", "CREATED BY", "COMMENT")
        for step in steps {
            let created = step.created.map { String($0.prefix(19)).replacing("T", with: " ") } ?? "-"
            table.add(
                created, step.sizeBytes.map(Units.size) ?? "-", shortened(step.createdBy), shortened(step.comment ?? "")
            )
        }
        Output.line(table.text)
    }

    private func shortened(_ text: String) -> String {
        noTrunc || text.count <= Self.commandWidth ? text : text.prefix(Self.commandWidth - 1) + "…"
    }
}

extension HistoryDocument {
    /// One step for all: it was made of files.
    init(importing image: StoredImage) {
        created = Timestamp.text(seconds: image.importedSeconds)
        createdBy = "swiftlet image import"
        sizeBytes = image.sizeBytes
    }
}
