import ArgumentParser
import HostFiles
import ImageStore

struct ImageDiskCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "disk", abstract: "Write an image's disk as one file, for other programs.",
        discussion: """
            It is an EROFS file system, followed by its dm-verity tree: `image inspect` shows the tree's root hash and how many
            blocks come before it. Machines need no such file.

            Examples:
              swiftlet image disk busybox busybox.erofs
              sudo mount -o loop,ro busybox.erofs /mnt
            """)
    @Argument(help: "Its name or digest.", completion: Completions.images) var image: String
    @Argument(help: "The file to write; there must be none of that name yet.", completion: .file()) var file: String

    func run() throws {
        let store = ImageCommand.store
        let image = try store.resolve(ImageCommand.storedName(image))
        let path = HostPath(try FilePaths.absolute(file))
        let target: HostFile
        do throws(HostFileError) {
            target = try HostFile(path, [.readWrite, .create, .exclusive])
        } catch {
            throw ImageError(error, in: .unwritableTarget)
        }
        let bar = ProgressBar()
        defer { bar.finish() }
        do throws(ImageError) {
            try store.copyDisk(of: image, to: target) {
                bar.show("writing", done: Double($0) / Double(max(image.sizeBytes, 1)), detail: Units.size($0))
            }
        } catch {
            try? path.removeFile()
            throw error
        }
    }
}
