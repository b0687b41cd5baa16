import HostFiles

/// What a clean-up took away, or would.
public struct PruneReport: Equatable, Sendable {
    public struct RemovedFile: Equatable, Sendable {
        /// `disk`, `segment`, `layer`, `blob`, `record`, `hold` or `temporary`.
        public let kind: String
        public let name: String
        /// What it takes on the disk.
        public let allocatedBytes: UInt64
    }

    /// Images that lost their names.
    public internal(set) var images: [StoredImage] = []
    public internal(set) var files: [RemovedFile] = []

    public init() {}

    public var freedBytes: UInt64 { files.reduce(0) { $0 + $1.allocatedBytes } }
}

extension ImageStore {
    /// Removes what nothing leads to: what dead commands left, downloads that nobody has gone on with, and files without an
    /// image. What a living command holds by a lease stays.
    ///
    /// - Parameters:
    ///   - isRemovable: which of the images that nobody holds are to go with all their names. It is asked while no other command can change the
    ///     store.
    ///   - isDryRun: nothing is changed.
    /// - Throws: `.damagedStore` where a record cannot be read, and nobody knows what is used.
    public func prune(
        isDryRun: Bool, removing isRemovable: (StoredImage) throws(ImageError) -> Bool = { _ in false }
    ) throws(ImageError) -> PruneReport {
        // An empty store is not made by looking.
        guard folders.root.exists else { return PruneReport() }
        return try whileLocked { () throws(ImageError) in
            var report = PruneReport()
            var index = try index()
            let held = held()
            for image in try list() where !held.contains(image.digest) {
                guard try isRemovable(image) else { continue }
                report.images.append(image)
                index.names = index.names.filter { $0.value != image.digest }
            }
            for image in try list() where image.diskPaths.isEmpty && index.names.values.contains(image.digest) {
                throw ImageError(
                    .damagedStore,
                    "the image \(image.names.first ?? image.digest) is damaged, so that nobody knows what it uses; "
                        + "remove it first: swiftlet rmi \(image.names.first ?? image.digest)")
            }
            if !isDryRun { try write(index) }
            collectLeftovers(keeping: index, isThorough: true) { path, kind in
                let size = (try? path.status(followsLinks: false))?.allocatedBytes ?? 0
                if !isDryRun {
                    guard (try? path.removeFile()) != nil else { return }
                }
                let name = path.bytes.split(separator: UInt8(ascii: "/")).last ?? []
                report.files.append(
                    PruneReport.RemovedFile(
                        kind: kind, name: String(decoding: name, as: UTF8.self), allocatedBytes: size))
            }
            return report
        }
    }

    /// Whether an image that was found before is still there, once nobody is changing the store.
    ///
    /// Who has written down that it is used, and then gets through this, knows that no clean-up takes it away any more.
    /// - Throws: `.unknownImage`.
    public func checkStillThere(_ digest: String) throws(ImageError) {
        try whileLocked { () throws(ImageError) in
            if try kept(by: index()).contains(digest) { return }
            throw ImageError(
                .unknownImage, "the image \(digest) was removed while it was about to be used; try again")
        }
    }
}
