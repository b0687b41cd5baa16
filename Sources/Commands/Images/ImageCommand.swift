import ArgumentParser
import Fleet
import ImageStore

struct ImageCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "image", abstract: "Fetch, make, show, name, hand on and remove images.",
        subcommands: [
            ImageImportCommand.self, ImageListCommand.self, ImageInspectCommand.self, HistoryCommand.self,
            TagCommand.self, ImageRemoveCommand.self, PruneCommand.self, PullCommand.self, PushCommand.self,
            LoadCommand.self, SaveCommand.self, ImageVerifyCommand.self, ImageDiskCommand.self,
        ])

    static var store: ImageStore { ImageStore(root: Product.paths.images) }
}

struct ImageImportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Make an image from a folder, a tar, an OCI layout or a docker archive.",
        usage: "swiftlet image import [options] <name> <source> [-- <program> [<argument> ...]]",
        discussion: """
            The image is a compact read-only disk, with the command, environment, user and folder that the source names
            or that are given here. What came as layers is kept as it came, too, to be pushed and saved.

            Examples:
              swiftlet image import busybox ./rootfs
              swiftlet image import web ./layout --env PORT=80
              tar c -C rootfs . | swiftlet image import tool - -- /bin/tool --serve
            """)

    @Option(name: [.short, .long], help: ArgumentHelp("Set a variable. May be repeated.", valueName: "name=value"))
    var env: [String] = []
    @Option(name: [.short, .long], help: "The program's user.") var user: String?
    @Option(name: [.short, .long], help: "The program's folder.") var workdir: String?
    @Option(
        parsing: .unconditionalSingleValue,
        help: ArgumentHelp("What stands before the command, one word. May be repeated.", valueName: "word"))
    var entrypoint: [String] = []
    @Option(help: ArgumentHelp("Which of a layout's or an archive's images.", valueName: "name")) var layoutReference:
        String?
    @Option(help: "Which of an OCI index's architectures.", completion: .list(["amd64", "arm64"])) var architecture:
        String?
    @Argument(help: "What the image is to be called.") var name: String
    @Argument(
        help: "A folder or a tar (- is standard input): of files, an OCI layout, a docker archive.", completion: .file()
    )
    var source: String
    @Argument(help: "The program that the image runs.") var program: [String] = []
    @OptionGroup var format: FormatOptions

    func run() throws {
        var settings = ImportSettings()
        if !entrypoint.isEmpty { settings.overrides.entrypoint = entrypoint }
        if !program.isEmpty { settings.overrides.command = program }
        settings.overrides.environment = env
        settings.overrides.user = user
        settings.overrides.workingDirectory = workdir
        if let architecture { settings.architecture = architecture }
        settings.layoutReference = layoutReference
        try Policies.admit(fromFileAs: name)
        let bar = ProgressBar()
        let image = try ImageCommand.store.importImage(from: source, as: name, settings: settings) { progress in
            bar.show(
                "\(progress.phase.rawValue) \(name)",
                done: progress.doneFraction,
                detail: "\(Units.size(progress.bytesDone)), \(progress.entries) files")
        }
        bar.finish()
        if format.isJSON { return Output.json(ImageDocument(image)) }
        Output.line("\(name): \(image.shortDigest), \(Units.size(image.sizeBytes))")
    }
}

struct ImageListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List images.", discussion: "Example:\n  swiftlet image list", aliases: ["ls"])
    @OptionGroup var format: FormatOptions

    func run() throws {
        let images = try ImageCommand.store.list()
        if format.isJSON { return Output.json(images.map(ImageDocument.init)) }
        var table = Table("NAME", "DIGEST", "SIZE", "IMPORTED")
        for image in images {
            for name in image.names.isEmpty ? ["-"] : image.names {
                table.add(name, image.shortDigest, Units.size(image.sizeBytes), Units.since(image.importedSeconds))
            }
        }
        Output.line(table.text)
    }
}

struct ImageInspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Print all that is known about images, as JSON.",
        discussion: "Example:\n  swiftlet image inspect busybox")
    @Argument(help: "Names or digests.", completion: Completions.images) var images: [String]
    @OptionGroup var format: FormatOptions

    func run() throws {
        try collect(images, asJSON: format.isJSON) { try ImageDocument(inspecting: try ImageCommand.resolve($0)) }
    }
}

struct ImageRemoveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "Remove images.", discussion: "Example:\n  swiftlet image remove busybox",
        aliases: ["rm"])
    @Argument(help: "Names or digests.", completion: Completions.images) var images: [String]
    @OptionGroup var format: FormatOptions

    func run() throws {
        try forEach(images, asJSON: format.isJSON) { try ImageCommand.store.remove(ImageCommand.storedName($0)) }
    }
}
