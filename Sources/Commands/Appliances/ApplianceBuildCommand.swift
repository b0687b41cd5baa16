import Appliances
import ArgumentParser
import GuestKernels
import HostFiles
import ImageStore
import LinuxCalls

struct ApplianceBuildCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "build", abstract: "Make an appliance of an image's files, a folder or a tar.",
        discussion: """
            The description says what it is called, what it needs and what can be set; what it does not say of the program comes
            from the image. The same files, description and kernel make the same bytes.
            Examples:
              swiftlet appliance build --description firewall.json --schema settings.json firewall-root
              swiftlet appliance build --description firewall.json --kernel swiftlet --name fw:1.4 ./rootfs.tar
            """)
    @Option(
        name: [.short, .long], help: ArgumentHelp("What to call it; NAME:VERSION if not given.", valueName: "name"))
    var name: String?
    @Option(help: ArgumentHelp("Its description, JSON; - is standard input.", valueName: "file"), completion: .file())
    var description: String
    @Option(
        help: ArgumentHelp("The schema of its settings, where the description has none.", valueName: "file"),
        completion: .file())
    var schema: String?
    @Option(
        help: ArgumentHelp(
            "Put this kernel into it, as `kernel list` names it; it must be one without modules. Without: the host's.",
            valueName: "kernel"), completion: Completions.kernels)
    var kernel: String?
    @Argument(help: "An image, as `image list` names it, or a path with a /.", completion: Completions.images)
    var source: String
    @OptionGroup var format: FormatOptions

    func run() throws {
        let text = try SettingsCommand.read(description, limit: ApplianceDescription.maximumBytes)
        let schema = try schema.map { try SettingsCommand.read($0, limit: ApplianceDescription.maximumBytes) }
        let kernel = try kernel.map { try Self.kernel($0) }
        let bar = ProgressBar()
        let store = ImageCommand.store
        func build(_ image: StoredImage) throws -> StoredImage {
            try store.buildAppliance(of: image, description: text, schema: schema, kernel: kernel, as: name) {
                progress in
                bar.show("\(progress.phase.rawValue) the disk", done: progress.doneFraction, detail: "")
            }
        }
        let built: StoredImage
        if source.contains("/"), HostPath(source).exists {
            Self.removeDeadDrafts()
            let draft = "\(Self.draft)\(processID())"
            defer { _ = try? store.remove(draft) }
            built = try build(try store.importImage(from: source, as: draft))
        } else {
            built = try build(try ImageCommand.resolveForUse(source))
        }
        bar.finish()
        if format.isJSON { return Output.json(ImageDocument(built)) }
        let called = name ?? built.names.first ?? built.shortDigest
        Output.line("\(called): \(built.shortDigest), \(Units.size(built.sizeBytes))")
    }

    private static let draft = "appliance-build-"

    /// Takes the images away that builds have left which were killed.
    static func removeDeadDrafts() {
        for name in ((try? ImageCommand.store.list()) ?? []).flatMap(\.names) where name.hasPrefix(draft) {
            guard let process = Int32(name.dropFirst(draft.count)), process > 0,
                !HostPath("/proc/\(process)").exists
            else { continue }
            _ = try? ImageCommand.store.remove(name)
        }
    }

    private static func kernel(_ name: String) throws -> ApplianceKernel {
        let kernel = try KernelStore(root: Product.paths.kernels).resolve(name)
        guard kernel.modulesPath == nil else {
            throw CommandFailure(
                "appliance.kernel-with-modules",
                "the kernel \(kernel.name) has modules, and an appliance has one kernel and nothing beside it; take one that has "
                    + "everything built in, such as that of `swiftlet kernel build`")
        }
        return ApplianceKernel(path: kernel.path, arguments: kernel.arguments)
    }
}
