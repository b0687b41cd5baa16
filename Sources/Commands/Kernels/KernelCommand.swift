import ArgumentParser
import Fleet
import GuestKernels

struct KernelCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kernel", abstract: "Install, build, list, choose and remove guest kernels.",
        subcommands: [
            KernelInstallCommand.self, KernelBuildCommand.self, KernelListCommand.self, KernelUseCommand.self,
            KernelRemoveCommand.self,
        ])

    static var store: KernelStore { KernelStore(root: Product.paths.kernels) }

    static func report(_ kernel: StoredKernel, asJSON: Bool) {
        if asJSON { return Output.json(KernelDocument(kernel)) }
        Output.line("\(kernel.name): \(kernel.version), \(kernel.shortDigest), \(Units.size(kernel.wholeSizeBytes))")
    }

    static func show(_ progress: KernelProgress, of kernel: String, on bar: ProgressBar) {
        let files = progress.stepsTotal.map { "\(progress.stepsDone) of about \($0) files" }
        bar.show(
            "\(progress.phase.rawValue) the kernel \(kernel)",
            done: progress.stepsTotal.map { $0 == 0 ? 1 : Double(progress.stepsDone) / Double($0) },
            detail: [files, progress.detail].compactMap { $0 }.filter { !$0.isEmpty }.joined(separator: ", "))
    }
}

struct KernelInstallCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "install", abstract: "Take the distribution's kernel for virtual machines.",
        discussion: """
            Its package is fetched and taken apart; nothing is installed on this computer.

            Examples:
              swiftlet kernel install
              swiftlet kernel install --package-file ./linux-image.deb --name mine
            """)
    @Option(help: "The package.") var package: String?
    @Option(
        help: ArgumentHelp("A package file that is here already.", valueName: "file"),
        completion: .file(extensions: ["deb"]))
    var packageFile: String?
    @Option(help: "What the kernel is called.") var name: String?
    @Option(help: ArgumentHelp("A further module to take. May be repeated.", valueName: "name")) var module: [String] =
        []
    @OptionGroup var format: FormatOptions

    func run() throws {
        var settings = KernelInstallationSettings()
        if let package { settings.package = package }
        if let name { settings.name = name }
        settings.packageFile = packageFile
        settings.additionalModules = module
        let bar = ProgressBar()
        let kernel = try KernelCommand.store.install(settings) {
            KernelCommand.show($0, of: settings.name, on: bar)
        }
        bar.finish()
        KernelCommand.report(kernel, asJSON: format.isJSON)
    }
}

struct KernelBuildCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "build", abstract: "Build the project's own small kernel from the distribution's source.",
        discussion: """
            Takes some minutes, and a compiler.

            Examples:
              swiftlet kernel build
              swiftlet kernel build --configuration my.config --name mine
            """)
    @Option(
        help: ArgumentHelp(
            "Lines CONFIG_X=value over `make allnoconfig`; the project's own without.", valueName: "file"),
        completion: .file())
    var configuration: String?
    @Option(help: "What the kernel is called.") var name: String?
    @Option(help: ArgumentHelp("The source package.", valueName: "package")) var sourcePackage: String?
    @Option(
        help: ArgumentHelp("Keep source and objects there, so that the next build is quick.", valueName: "folder"),
        completion: .directory)
    var workFolder: String?
    @Option(help: "Compilers at once.") var jobs: Int?
    @OptionGroup var format: FormatOptions

    func run() throws {
        var settings = KernelBuildSettings()
        settings.configurationFile = configuration
        if let name { settings.name = name }
        settings.sourcePackage = sourcePackage
        settings.workFolder = workFolder
        settings.jobs = jobs
        let bar = ProgressBar()
        let kernel = try KernelCommand.store.build(settings) {
            KernelCommand.show($0, of: settings.name, on: bar)
        }
        bar.finish()
        KernelCommand.report(kernel, asJSON: format.isJSON)
    }
}

struct KernelListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List guest kernels; * marks the one that is used when none is asked for.",
        discussion: "Example:\n  swiftlet kernel list", aliases: ["ls"])
    @OptionGroup var format: FormatOptions

    func run() throws {
        let kernels = try KernelCommand.store.list()
        if format.isJSON { return Output.json(kernels.map(KernelDocument.init)) }
        var table = Table("", "NAME", "VERSION", "DIGEST", "SIZE", "SOURCE", "INSTALLED")
        for kernel in kernels {
            table.add(
                kernel.isDefault ? "*" : "", kernel.name, kernel.version, kernel.shortDigest,
                Units.size(kernel.wholeSizeBytes), kernel.source.description,
                Units.since(kernel.installedSeconds))
        }
        Output.line(table.text)
    }
}

struct KernelUseCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "use", abstract: "Choose the kernel that machines get when none is asked for.",
        discussion: "Example:\n  swiftlet kernel use debian-cloud")
    @Argument(help: "A name, version or digest.", completion: Completions.kernels) var kernel: String
    @OptionGroup var format: FormatOptions

    func run() throws { KernelCommand.report(try KernelCommand.store.use(kernel), asJSON: format.isJSON) }
}

struct KernelRemoveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "Remove kernels.",
        discussion: "Example:\n  swiftlet kernel remove debian-cloud",
        aliases: ["rm"])
    @Argument(help: "Names, versions or digests.", completion: Completions.kernels) var kernels: [String]
    @OptionGroup var format: FormatOptions

    func run() throws {
        try forEach(kernels, asJSON: format.isJSON) { try KernelCommand.store.remove($0) }
    }
}

/// A kernel, for programs: names that stay.
struct KernelDocument: Encodable {
    var name: String
    var version: String
    var digest: String
    var architecture: String
    var source: String
    var path: String
    var sizeBytes: UInt64
    var modulesPath: String?
    var modulesSizeBytes: UInt64
    var installed: String
    var isDefault: Bool

    init(_ kernel: StoredKernel) {
        name = kernel.name
        version = kernel.version
        digest = kernel.digest
        architecture = kernel.architecture
        source = kernel.source.description
        path = kernel.path
        sizeBytes = kernel.sizeBytes
        modulesPath = kernel.modulesPath
        modulesSizeBytes = kernel.modulesSizeBytes
        installed = Timestamp.text(seconds: kernel.installedSeconds)
        isDefault = kernel.isDefault
    }
}
