import AppImages
import ArgumentParser
import Fleet
import HostFiles
import ImageStore

struct BuildCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "build", abstract: "Make an image of a program of this computer.",
        subcommands: [BuildAppCommand.self])
}

struct BuildAppCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "app", abstract: "Make an image of one program, its libraries and nothing else.",
        usage: "swiftlet build app [options] <program> [-- <argument> ...]",
        discussion: """
            The program is read and not run: the libraries that it names are looked for where its loader would look, with
            those that they name, and with what the C library opens for the calls that they make. What it only opens when
            it runs is to be named with --add.

            Examples:
              swiftlet build app ./server
              swiftlet build app --name web --add ./public:/srv/public ./server -- --port 80
              swiftlet build app --dry-run /usr/bin/curl
            """)

    @Option(help: ArgumentHelp("What the image is to be called; as the program if not given.", valueName: "name"))
    var name: String?
    @Option(
        help: ArgumentHelp(
            "A file or folder besides; at the same place if none is given. May be repeated.", valueName: "path[:/place]"
        ),
        completion: .file())
    var add: [String] = []
    @Option(name: [.short, .long], help: ArgumentHelp("Set a variable. May be repeated.", valueName: "name=value"))
    var env: [String] = []
    @Option(name: [.short, .long], help: "The program's user, as a number.") var user: String?
    @Flag(help: "Only print what would be in it, and why.") var dryRun = false
    @Argument(help: "The program.", completion: .file()) var program: String
    @Argument(help: "What it is given.") var arguments: [String] = []
    @OptionGroup var format: FormatOptions

    func run() throws {
        let path = try FilePaths.absolute(program)
        let contents = try AppContents(of: path, adding: try add.map(Self.addition))
        if !format.isJSON { for note in contents.notes { Output.error("swiftlet: \(Table.printable(note))") } }
        if dryRun { return show(contents) }
        let image = try importImage(contents)
        if format.isJSON { return Output.json(ImageDocument(image)) }
        Output.line(
            "\(image.names.first ?? ""): \(image.shortDigest), \(Units.size(image.sizeBytes)), \(contents.files.count) files"
        )
    }

    private func importImage(_ contents: AppContents) throws -> StoredImage {
        var settings = ImportSettings()
        settings.overrides.entrypoint = [contents.program]
        settings.overrides.command = arguments
        settings.overrides.environment = contents.environment + env
        settings.overrides.user = user
        let folder = HostPath(Product.paths.cache)
        let archive = folder.appending("app-\(processID()).tar")
        defer { try? archive.removeFile() }
        try folder.makeFolders()
        try contents.write(to: try HostFile(archive, [.writeOnly, .create, .truncate], mode: 0o600))
        let called = name ?? String(contents.program.split(separator: "/").last ?? "app").lowercased()
        return try ImageCommand.store.importImage(from: archive.description, as: called, settings: settings)
    }

    private func show(_ contents: AppContents) {
        let files = contents.files.map(FileDocument.init)
        if format.isJSON {
            return Output.json(PlanDocument(program: contents.program, files: files, notes: contents.notes))
        }
        var table = Table("PLACE", "SIZE", "WHY")
        for file in files { table.add(file.place, Units.size(file.sizeBytes), file.reason) }
        Output.line(table.text)
    }

    private static func addition(_ text: String) throws(CommandFailure) -> AppContents.Addition {
        let halves = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let path = try FilePaths.absolute(halves[0])
        return (path, halves.count > 1 ? halves[1] : path)
    }

    struct PlanDocument: Encodable {
        var program: String
        var files: [FileDocument]
        var notes: [String]
    }

    struct FileDocument: Encodable {
        var place: String
        /// Where it comes from; nil for what is made.
        var path: String?
        var sizeBytes: UInt64
        var reason: String

        init(_ file: AppContents.File) {
            place = file.place
            reason = file.reason
            switch file.content {
            case .file(let path):
                self.path = path
                sizeBytes = (try? HostPath(path).status().sizeBytes) ?? 0
            case .bytes(let bytes): sizeBytes = UInt64(bytes.count)
            }
        }
    }
}
