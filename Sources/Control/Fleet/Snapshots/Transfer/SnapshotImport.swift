public import Archives
import FoundationEssentials
import HostFiles
public import ImageStore
public import OCIImages

/// Takes a snapshot over that somebody else has packed. Nothing of it is listed before all of it is verified, and it has been
/// tried whether the monitor here would take it.
public struct SnapshotImport {
    private let incoming: IncomingSnapshot
    private let fleet: MachineFleet
    private let draft: SnapshotDraft
    private let record: SnapshotRecord

    /// Where files may lie that belong to nobody once this has gone.
    public var folder: HostPath { draft.folder }
    public var layers: [OCIArtifact.Part] { incoming.layers }

    /// - Parameters:
    ///   - name: nil for the one that it came with.
    ///   - interfaces: what the machine's network interfaces are connected to here.
    ///   - image: the one that it is of, which the caller has found to be one that may be used.
    public init(
        _ incoming: IncomingSnapshot, as name: String?, interfaces: [MachineInterface], image: StoredImage,
        into fleet: MachineFleet
    ) throws {
        let description = incoming.description
        guard interfaces.count == description.interfaceCount else {
            throw SnapshotError(
                .withoutNetwork,
                description.interfaceCount == 0
                    ? "its machine has no network interface; leave out --network"
                    : "its machine has \(description.interfaceCount) network interfaces; say what each is to be connected to here: --network tap, as often"
            )
        }
        let store = SnapshotStore(fleet.store.paths)
        let name = name ?? description.name
        try SnapshotStore.check(name: name)
        try store.checkFree(name)
        draft = try SnapshotDraft(store)
        record = try description.record(
            id: draft.id, name: name, image: image, interfaces: interfaces, in: store.folder(draft.id))
        self.incoming = incoming
        self.fleet = fleet
        if let free = draft.folder.freeBytes, description.dataBytes > free {
            throw SnapshotError(
                .diskFull,
                "it takes \(description.dataBytes >> 20) MiB, and \(free >> 20) are free where snapshots lie (\(fleet.store.paths.data)); make room and try again"
            )
        }
    }

    /// Takes the files over, has them tried, and lists the snapshot.
    /// - Parameters:
    ///   - isChecked: whether each page of its memory is checked before a clone sees it.
    ///   - open: the bytes of one of the layers; verified here.
    ///   - progress: how many bytes of the layers are done, of how many.
    ///   - report: told what takes long: a line for a person.
    public func run(
        isChecked: Bool = false, opening open: (OCIArtifact.Part) throws -> any ByteSource,
        progress: @escaping (_ done: UInt64, _ size: UInt64) -> Void = { _, _ in }, report: (String) -> Void
    ) throws -> SnapshotRecord {
        let whole = layers.reduce(0) { $0 &+ $1.sizeBytes }
        var done: UInt64 = 0
        for (layer, file) in zip(layers, incoming.description.files) {
            let source = CountingByteSource(try open(layer)) {
                done += $0
                progress(done, whole)
            }
            try Self.unpack(source, layer, file, to: draft.folder.appending(file.name))
        }
        try MonitorCheck(fleet.store.paths).check(
            state: draft.folder.appending(SnapshotRecord.stateName),
            memory: draft.folder.appending(SnapshotRecord.memoryName), of: incoming.description, report: report)
        var record = record
        if isChecked { record.memoryRoot = try writeTree() }
        try draft.publish(record)
        return try fleet.keepImage(of: record)
    }

    private func writeTree() throws(SnapshotError) -> String {
        let root = try snapshotFiles { () throws(HostFileError) in
            try MemoryTree.write(
                of: draft.folder.appending(SnapshotRecord.memoryName), to: draft.folder.appending(MemoryTree.fileName)
            ).hex
        }
        guard root == incoming.description.memoryRoot else {
            throw SnapshotDescription.invalid("its memory is not what the root in its description says")
        }
        return root
    }

    /// Trust: none; the layer is verified, and the file in it has the name and the size that were announced.
    static func unpack(
        _ source: any ByteSource, _ layer: OCIArtifact.Part, _ file: SnapshotDescription.File, to target: HostPath
    ) throws(SnapshotError) {
        let out = try snapshotFiles { () throws(HostFileError) in
            let out = try HostFile(target, [.writeOnly, .create, .exclusive], mode: 0o600)
            try out.truncate(to: file.sizeBytes)
            return out
        }
        do throws(ArchiveError) {
            let verified = DigestingByteSource(source, expected: layer.digest, expectedBytes: layer.sizeBytes)
            // Beside the data: headers, and the map of holes.
            let reader = ByteReader(try GzipByteSource(verified), limit: file.dataBytes &+ (48 << 20))
            let tar = TarReader(reader)
            guard let entry = try tar.next(), entry.path == Array(file.name.utf8), entry.kind == .file else {
                throw .invalidField("name (it is not \(file.name))", at: 0)
            }
            guard entry.sizeBytes == file.sizeBytes, entry.storedBytes == file.dataBytes else {
                throw .invalidField("size (it is not what was announced)", at: 0)
            }
            var buffer = [UInt8](repeating: 0, count: 1 << 18)
            for extent in entry.extents {
                var offset = extent.offset
                let end = extent.offset + extent.length
                var piece = buffer
                while offset < end {
                    if UInt64(piece.count) > end - offset { piece = [UInt8](repeating: 0, count: Int(end - offset)) }
                    let count = try tar.readContent(into: &piece)
                    guard count > 0 else { throw .truncated(at: reader.position) }
                    do { try out.write(piece.span.extracting(first: count), at: offset) } catch { throw .host(error) }
                    offset += UInt64(count)
                }
            }
            guard try tar.next() == nil else { throw .invalidField("place (there are several files)", at: 0) }
            try reader.drain()
            // To the end, which tells whether it was right.
            while try verified.read(into: &buffer) > 0 {}
        } catch .host(let error) {
            throw SnapshotError(error)
        } catch {
            throw SnapshotDescription.invalid("its \(file.name): \(error)")
        }
    }
}
