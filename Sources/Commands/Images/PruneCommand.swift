import ArgumentParser
import Fleet
import ImageStore

struct PruneCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune", abstract: "Remove what no image needs; with --all, images that no machine uses.",
        discussion: """
            Without --all that is what commands left that were killed: unfinished downloads, files of images that have no name
            any more. What a command at work needs stays in each case, and so do the images of all machines that `swiftlet ps
            --all` shows. On a terminal it asks first.

            Examples:
              swiftlet prune --dry-run --all
              swiftlet prune --force
            """)
    @Flag(name: [.short, .long], help: "Remove images that no machine uses, too, whatever they are called.") var all =
        false
    @Flag(name: [.customShort("n"), .long], help: "Only say what would be removed.") var dryRun = false
    @Flag(name: [.short, .long], help: "Do not ask.") var force = false
    @OptionGroup var format: FormatOptions

    func run() throws {
        let machines = Product.fleet.store
        if all {
            // Which images they use is not known of these.
            try machines.checkReadable()
            if let damaged = machines.listDamaged().first {
                throw CommandFailure(
                    "machine.damaged-record",
                    "the record of the machine \(damaged) cannot be read, so that nobody knows which image it uses; "
                        + "remove it first: swiftlet rm --force \(damaged)")
            }
        }
        guard try dryRun || force || format.isJSON || isConfirmed() else {
            throw CommandFailure("prune.declined", "nothing was removed")
        }
        if !dryRun {
            ApplianceBuildCommand.removeDeadDrafts()
            Product.fleet.removeStaleTemplates()
        }
        let report = try ImageCommand.store.prune(isDryRun: dryRun) { image in
            all && !machines.list().contains { $0.specification.imageDigest == image.digest }
        }
        if format.isJSON { return Output.json(PruneDocument(report, isDryRun: dryRun)) }
        for image in report.images {
            Output.line("\(dryRun ? "would remove" : "removed") \(image.names.joined(separator: ", "))")
        }
        let unused = report.files.count { $0.kind == "temporary" }
        if unused > 0 { Output.line("\(dryRun ? "would remove" : "removed") \(unused) unfinished files") }
        Output.line("\(dryRun ? "would free" : "freed") \(Units.size(report.freedBytes))")
    }

    private func isConfirmed() throws -> Bool {
        guard Terminal.isTerminal(0) else { return true }
        Output.prompt(
            all
                ? "remove every image that no machine uses? [y/N] "
                : "remove what no image needs? [y/N] ")
        return ["y", "yes"].contains((readLine() ?? "").lowercased())
    }
}

/// What was removed, or would be, for programs: names that stay.
struct PruneDocument: Encodable {
    struct File: Encodable {
        var kind: String
        var name: String
        var bytes: UInt64
    }

    var isDryRun: Bool
    var images: [ImageDocument]
    var files: [File]
    var freedBytes: UInt64

    init(_ report: PruneReport, isDryRun: Bool) {
        self.isDryRun = isDryRun
        images = report.images.map(ImageDocument.init)
        files = report.files.map { File(kind: $0.kind, name: $0.name, bytes: $0.allocatedBytes) }
        freedBytes = report.freedBytes
    }
}
