import Archives
import ArgumentParser
import Fleet
import HostFiles

struct SnapshotExportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Write a snapshot into a file, for another computer.",
        discussion: """
            The file holds processors, devices, memory and disks, compressed and without their holes, each under its digest: a tar of an OCI layout,
            which tools for registries know. It does not hold the image. Whoever has the file can read what the machine's programs knew,
            passwords included. - is standard output.

            Examples:
              swiftlet snapshot export web-1 web-1.tar
              swiftlet snapshot export web-1 - | ssh other swiftlet snapshot import -
            """)

    @Argument(help: "A snapshot's name or id.", completion: Completions.snapshots) var snapshot: String
    @Argument(help: "A file, which gets its place when it is whole.", completion: .file()) var file: String
    @OptionGroup var format: FormatOptions

    func run() throws {
        guard file != "-" || !Terminal.isTerminal(1) else {
            throw CommandFailure("usage.export", "a snapshot is nothing for a terminal; name a file")
        }
        guard file != "-" || !format.isJSON else {
            throw CommandFailure("usage.export", "standard output takes the snapshot or the JSON; name a file")
        }
        let record = try SnapshotCommand.store.find(snapshot)
        let packed = try SnapshotCommand.pack(record)
        if file == "-" {
            return try packed.write(to: FileByteSink(try HostFile.standardOutput()))
        }
        try packed.write(to: HostPath(try FilePaths.absolute(file)))
        if format.isJSON { return Output.json(Document(record, packed)) }
        Output.line("\(record.name): \(packed.digest), \(Units.size(packed.sizeBytes))")
    }

    private struct Document: Encodable {
        let id: String
        let name: String
        /// Of the manifest.
        let digest: String
        let sizeBytes: UInt64

        init(_ record: SnapshotRecord, _ packed: PackedSnapshot) {
            (id, name) = (record.id, record.name)
            (digest, sizeBytes) = ("\(packed.digest)", packed.sizeBytes)
        }
    }
}

extension SnapshotCommand {
    /// Packs a snapshot, with a bar.
    static func pack(_ record: SnapshotRecord) throws -> PackedSnapshot {
        let bar = ProgressBar()
        defer { bar.finish() }
        return try Product.fleet.pack(record) { done, size in
            bar.show(
                "packing \(record.name)", done: Double(done) / Double(max(size, 1)),
                detail: "\(Units.size(done)) of \(Units.size(size))")
        }
    }
}
