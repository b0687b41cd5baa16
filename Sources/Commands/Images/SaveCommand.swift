import ArgumentParser
import HostFiles
import ImageStore
import ImageTransfer

struct SaveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "save", abstract: "Write images into an archive that other tools read.",
        discussion: """
            Formats: oci-archive, a tar of an OCI layout that `docker load` reads as well; oci-dir, such a layout as a folder;
            docker-archive, what older tools know, with layers that are not compressed.

            Examples:
              swiftlet save --output box.tar busybox
              swiftlet save busybox web:1 | ssh other docker load
              swiftlet save --format oci-dir --output ./layout busybox
            """)
    @Option(help: ArgumentHelp("oci-archive, oci-dir or docker-archive.", valueName: "format")) var format =
        ImageSave.Format.ociArchive
    @Option(
        name: [.short, .long],
        help: ArgumentHelp("Where it goes; a file gets its place when it is whole.", valueName: "path"),
        completion: .file())
    var output: String?
    @Flag(help: "Put the signatures beside the images that came with them; not into a docker archive.")
    var signatures = false
    @Argument(help: "Names or digests.", completion: Completions.images) var images: [String]
    @OptionGroup var errorFormat: ErrorFormatOptions

    func run() throws {
        let target: ImageSave.Target
        switch output {
        case nil, "-":
            guard !Terminal.isTerminal(1) else {
                throw CommandFailure(
                    "usage.save", "an archive is nothing for a terminal; name a file: --output box.tar")
            }
            target = .standardOutput
        case .some(let path): target = .path(HostPath(try FilePaths.absolute(path)))
        }
        guard !signatures || format != .dockerArchive else {
            throw CommandFailure(
                "usage.save", "a docker archive holds no signatures; leave out --signatures, or --format")
        }
        let store = ImageCommand.store
        var save = try ImageSave(from: store)
        for name in images {
            let stored = ImageCommand.storedName(name)
            let image = try store.resolve(stored)
            // By its digest it is nobody's name.
            try save.add(
                image, as: image.names.contains(stored) ? stored : nil,
                signatures: signatures ? try store.signatures(of: image) : [])
        }
        let bar = ProgressBar()
        defer { bar.finish() }
        do throws(ImageError) {
            try save.write(format, to: target) { done, size in
                bar.show(
                    "saving", done: Double(done) / Double(max(size, 1)),
                    detail: "\(Units.size(done)) of \(Units.size(size))")
            }
        } catch {
            // As a filter ends.
            guard error.code == .readerGone else { throw error }
            throw ExitStatusError(status: 141)
        }
    }
}

extension ImageSave.Format: ExpressibleByArgument {}
