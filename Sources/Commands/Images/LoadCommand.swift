import ArgumentParser
import ImageStore
import ImageTransfer
import OCIImages

struct LoadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "load", abstract: "Bring in the images of an archive, by the names that they have there.",
        discussion: """
            An archive is an OCI layout, a folder or a tar of one, or what `docker save` writes; tars may be compressed by gzip
            or zstd. Layers are kept as they come, so that images can be pushed and saved again.

            Examples:
              swiftlet load saved.tar
              skopeo copy docker://busybox oci-archive:box.tar && swiftlet load --name box box.tar
              ssh build docker save web:1 | swiftlet load
            """)
    @Option(
        name: [.short, .long], help: ArgumentHelp("Read this; as the argument.", valueName: "file"), completion: .file()
    )
    var input: String?
    @Option(help: ArgumentHelp("What to call the image, where there is only one.", valueName: "name")) var name: String?
    @Option(help: "Which of an image's architectures.", completion: .list(["amd64", "arm64"])) var architecture: String?
    @Argument(help: "A file, a folder, or - for standard input.", completion: .file()) var archive: String?
    @OptionGroup var format: FormatOptions

    func run() throws {
        guard input == nil || archive == nil else {
            throw CommandFailure("usage.load", "name the archive once: by --input or without it")
        }
        let source = input ?? archive ?? "-"
        guard source != "-" || !Terminal.isTerminal(0) else {
            throw CommandFailure(
                "usage.load", "name an archive, or pass one in on standard input: swiftlet load < saved.tar")
        }
        var settings = ImportSettings()
        if let architecture { settings.architecture = architecture }
        let bar = ProgressBar()
        let store = ImageCommand.store
        func show(_ progress: ImportProgress) {
            bar.show(
                "loading \(source == "-" ? "standard input" : source)", done: progress.doneFraction,
                detail: "\(progress.phase.rawValue): \(Units.size(progress.bytesDone)), \(progress.entries) files")
        }
        let images = try store.archivedImages(in: source, settings: settings, progress: show)
        guard name == nil || images.count == 1 else {
            throw CommandFailure(
                "usage.load", "there are \(images.count) images in \(source), and --name is for one; leave it out")
        }
        // Before any is brought in.
        let named = try images.map { image in (image, try names(image, source)) }
        for (image, names) in named {
            for name in names { try Policies.admit(image, fromFileAs: name) }
        }
        var documents: [ImageDocument] = []
        for (image, names) in named {
            var stored = try store.load(image, as: names, settings: settings, progress: show)
            for (subject, signatures) in image.signatures {
                stored = try store.keep(signatures, of: subject, with: stored)
            }
            bar.finish()
            documents.append(ImageDocument(stored))
            if format.isJSON { continue }
            for name in names { Output.line("\(name): \(stored.shortDigest), \(Units.size(stored.sizeBytes))") }
        }
        if format.isJSON { Output.json(documents) }
    }

    private func names(_ image: ArchivedImage, _ source: String) throws -> [String] {
        if let name { return [ImageNaming.stored(name)] }
        let names = ImageNaming.stored(image)
        guard !names.isEmpty else {
            throw CommandFailure(
                "image.without-name",
                "\(source) gives the image \(image.image.manifestDigest) no name; give it one: --name NAME")
        }
        return names
    }
}
