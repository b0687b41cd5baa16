import ArgumentParser
import FileTrees
import Fleet
import ImageStore
import OCIImages
import Registry

struct SnapshotImportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Take a snapshot over that `export` has written.",
        discussion: """
            Everything in it is verified, and the monitor of this computer has tried whether it could go on from it, before it is listed. Only
            what is within the machine is taken over: the image must be here; networks are what is said here; limits, policies,
            labels and paths are left behind. What the machine runs is whatever the other computer had in its memory: take over
            only what comes from whom you trust with that. - is standard input.

            Examples:
              swiftlet snapshot import web-1.tar
              swiftlet snapshot import web-1.tar web --network tap
            """)

    @OptionGroup var taking: SnapshotTakingOptions
    @Argument(help: "A file, a folder, or - for standard input.", completion: .file()) var file: String
    @Argument(help: "What the snapshot is to be called; as it was if not given.") var name: String?
    @OptionGroup var format: FormatOptions

    func run() throws {
        guard file != "-" || !Terminal.isTerminal(0) else {
            throw CommandFailure("usage.import", "name a file, or pass one in on standard input")
        }
        let interfaces = try taking.interfaces()
        SnapshotCommand.store.removeLeftovers()
        let bar = ProgressBar()
        defer { bar.finish() }
        let files = try ImageCommand.store.archivedFiles(in: file) { progress in
            bar.show("reading \(file)", done: progress.doneFraction, detail: Units.size(progress.bytesDone))
        }
        let layout = try Self.layout(files, file)
        let incoming = try IncomingSnapshot(layout)
        let image = try incoming.image(in: ImageCommand.store)
        try Policies.admitSnapshot(ofMachineOf: image)
        let take = try SnapshotImport(
            incoming, as: name, interfaces: interfaces, image: image, into: Product.fleet)
        let record = try take.run(
            isChecked: taking.integrity,
            opening: { FileContentSource(try layout.content(of: $0.blob)) }
        ) { done, size in
            bar.show(
                "importing", done: Double(done) / Double(max(size, 1)),
                detail: "\(Units.size(done)) of \(Units.size(size))")
        } report: {
            bar.finish()
            if !format.isJSON { Output.error("swiftlet: \($0)") }
        }
        bar.finish()
        if format.isJSON { return Output.json(SnapshotDocument(record)) }
        Output.line(record.name)
    }

    private static func layout(_ files: FileTree, _ name: String) throws -> OCILayout {
        guard OCILayout.isLayout(files) else {
            throw SnapshotError(
                .invalidFile, "\(name) is no snapshot; `swiftlet snapshot export` writes them as OCI layouts")
        }
        do throws(OCIError) { return try OCILayout(files) } catch {
            throw SnapshotError(.invalidFile, "\(name) is no snapshot: \(error)")
        }
    }
}

/// What is said of a snapshot that comes from elsewhere.
struct SnapshotTakingOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "What its machine's network interface is connected to here: tap, or tap:NAME,address=A/N[,gateway=A]. As often as it has interfaces.",
            valueName: "network"), completion: Completions.networks)
    var network: [String] = []

    @Flag(help: "Have each page of the memory checked before a clone sees it. Clones then share no memory.")
    var integrity = false

    func interfaces() throws -> [MachineInterface] { try MachineInterface.list(parsing: network) }
}

extension Policies {
    /// Asks the standing policy whether a machine of that image may go on from a memory that nobody has signed.
    static func admitSnapshot(ofMachineOf image: StoredImage) throws {
        guard let policy = try standing() else { return }
        for name in image.names where ImageReference.namesRegistry(name) {
            guard let reference = try? ImageReference(name) else { continue }
            guard !policy.wantsSignatures(of: reference.name) else {
                throw CommandFailure(
                    "signature.missing",
                    "the policy wants signatures for \(reference.name), the image of the snapshot's machine, and nobody has signed what this snapshot holds; "
                        + "push it signed (swiftlet snapshot push --sign KEY) to where the policy trusts the key, and pull it from there"
                )
            }
            try admit(fromFileAs: name)
        }
    }
}
