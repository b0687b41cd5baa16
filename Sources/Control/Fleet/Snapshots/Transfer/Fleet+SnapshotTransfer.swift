import HostFiles
import ImageStore

extension MachineFleet {
    /// Packs a snapshot to be handed on.
    /// - Parameter progress: how many bytes of its files are done, of how many.
    public func pack(
        _ record: SnapshotRecord, progress: @escaping (_ done: UInt64, _ size: UInt64) -> Void = { _, _ in }
    ) throws -> PackedSnapshot {
        try record.checkFormat()
        guard !record.isForWarmStarts else {
            throw SnapshotError(
                .unsuitableMachine,
                "\"\(record.name)\" is a template for machines that start warm; each computer makes its own: swiftlet run --warm"
            )
        }
        let snapshots = SnapshotStore(store.paths)
        snapshots.removeLeftovers()
        let manifest = (try? images.resolve(record.specification.imageDigest))?.manifest
        return try PackedSnapshot.pack(
            record, in: snapshots.folder(record.id), imageManifest: manifest?.description,
            folder: HostPath(store.paths.data).appending("snapshots"), progress: progress)
    }

    /// Holds the image of a snapshot, which is not listed without.
    func keepImage(of made: SnapshotRecord) throws -> SnapshotRecord {
        let snapshots = SnapshotStore(store.paths)
        do throws(ImageError) {
            try images.hold([made.specification.imageDigest], for: made.id, in: snapshots.path(made))
        } catch {
            try? snapshots.remove(made.id)
            throw error
        }
        return made
    }
}
