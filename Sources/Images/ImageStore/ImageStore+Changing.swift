import Archives
import HostFiles
import ImageLayers
import LinuxCalls

extension ImageStore {
    /// Runs `body` while no other process changes the index. Long work is done before.
    func whileLocked<R: ~Copyable>(_ body: () throws(ImageError) -> R) throws(ImageError) -> R {
        let lock = try takeLock()
        defer { _ = lock.descriptorNumber }
        return try body()
    }

    private func takeLock() throws(ImageError) -> HostFile {
        do throws(HostFileError) {
            try folders.make()
            let lock = try HostFile(folders.lock, [.readWrite, .create], mode: 0o600)
            try lock.lock(isExclusive: true)
            return lock
        } catch {
            throw ImageError(error, in: .damagedStore)
        }
    }

    func write(_ index: StoreDocuments.Index) throws(ImageError) {
        let bytes = try StoreDocuments.encode(index)
        do { try folders.index.replaceWhole(bytes) } catch { throw ImageError(error, in: .damagedStore) }
    }

    /// Writes an image's record and points a name at it. Its disk has its place by then.
    ///
    /// The order is what makes it safe against death at any moment: disk, then record, then name; what no name leads to is a
    /// leftover. Called while locked.
    func commit(_ record: StoreDocuments.Record, as name: String) throws(ImageError) -> StoredImage {
        let digest = try record.identity.digest()
        var record = record
        // Who brings the same image without its signatures, in a file perhaps, does not take them from it.
        if record.signatures == nil,
            let former: StoreDocuments.Record = try? StoreDocuments.decode(folders.record(digest))
        {
            record.signatures = former.signatures
        }
        let bytes = try StoreDocuments.encode(record)
        var index = try index()
        do { try folders.record(digest).replaceWhole(bytes) } catch { throw ImageError(error, in: .damagedStore) }
        index.names[name] = digest.description
        try write(index)
        collectLeftovers(keeping: index)
        return try image(digest, index)
    }

    /// Seconds since 1970.
    static var nowSeconds: Int64 { Int64(Clock.realTime.nanoseconds() / 1_000_000_000) }

    /// What to do with a leftover, which is a file of this kind: see `PruneReport.RemovedFile`.
    typealias Removal = (_ path: HostPath, _ kind: String) -> Void

    /// Removes records that no name leads to, what no record leads to, and what dead writers left.
    ///
    /// Called while locked. What cannot be removed now is tried again the next time.
    /// - Parameter isThorough: downloads that may still go on go too.
    func collectLeftovers(
        keeping index: StoreDocuments.Index, isThorough: Bool = false,
        by removal: Removal = { path, _ in try? path.removeFile() }
    ) {
        let named = Set(index.names.values.compactMap { SHA256Digest(description: $0)?.hex })
        let records = named.union(held().compactMap { SHA256Digest(description: $0)?.hex })
        // What is a leftover is told by the first part of its name.
        var disks: Set<String> = []
        var segments: Set<String> = []
        let leased = Set(leased())
        var (layers, blobs) = (leased, leased)
        for digits in records {
            guard let digest = SHA256Digest(hex: digits),
                let record: StoreDocuments.Record = try? StoreDocuments.decode(folders.record(digest)),
                let disk = SHA256Digest(description: record.identity.disk)
            else {
                // With a damaged record nobody knows what is used; one without a name nobody can use any more.
                if named.contains(digits) { return }
                continue
            }
            disks.insert(disk.hex)
            for part in record.parts where part.kind == .segment { segments.insert(part.digits) }
            for layer in record.layers ?? [] { layers.insert(String(layer.dropFirst(7))) }
            for blob in record.blobs ?? [] { blobs.insert(String(blob.dropFirst(7))) }
            for blob in (record.signatures ?? []).flatMap(\.documents) { blobs.insert(String(blob.dropFirst(7))) }
        }
        remove("record", in: folders.records, by: removal) { !records.contains(Self.stem($0)) }
        remove("disk", in: folders.disks, by: removal) { !disks.contains(Self.stem($0)) }
        remove("layer", in: folders.layers, by: removal) { !layers.contains(Self.stem($0)) }
        for layer in layers {
            guard let digest = SHA256Digest(hex: layer), let index = try? HostFile(folders.layerIndex(digest)),
                let summary = try? LayerIndexReader.summary(index)
            else { continue }
            segments.insert(summary.segment.hex)
        }
        remove("segment", in: folders.segments, by: removal) { !segments.contains(Self.stem($0)) }
        remove("hold", in: folders.holds, by: removal) { name in
            do throws(HostFileError) { return try hold(Array(name.utf8)) == nil } catch { return false }
        }
        collectAbandoned(isThorough: isThorough, by: removal)
        remove("blob", in: folders.blobs, by: removal) { !blobs.contains($0) }
    }

    /// Removes what dead writers left. Called while locked: a new file is locked before anybody else looks at it.
    func collectAbandoned(
        isThorough: Bool = false, by removal: Removal = { path, _ in try? path.removeFile() }
    ) {
        remove("temporary", in: folders.temporary, by: removal) { name in
            let path = folders.temporary.appending(name)
            return isAbandoned(path) && (isThorough || !name.hasPrefix(StoreFolders.partial) || isOld(path))
        }
    }

    /// A file's name without what kind of file it is.
    private static func stem(_ name: String) -> String { String(name.prefix { $0 != "." }) }

    /// What the leases of living processes name.
    private func leased() -> [String] {
        ((try? folders.temporary.folderNames()) ?? []).map { String(decoding: $0, as: UTF8.self) }
            .filter { $0.hasPrefix(StoreFolders.lease) && !isAbandoned(folders.temporary.appending($0)) }
            .flatMap { BlobLease.digests(folders.temporary.appending($0)) }
    }

    private func remove(
        _ kind: String, in folder: HostPath, by removal: Removal, where isLeftover: (String) -> Bool
    ) {
        for bytes in (try? folder.folderNames()) ?? [] {
            guard isLeftover(String(decoding: bytes, as: UTF8.self)) else { continue }
            removal(folder.appending(bytes), kind)
        }
    }

    /// A download that was broken off may go on for a day.
    private func isOld(_ path: HostPath) -> Bool {
        guard let status = try? path.status() else { return false }
        return status.modifiedSeconds < Self.nowSeconds - 86_400
    }

    /// A writer holds the lock of its file for as long as it lives.
    private func isAbandoned(_ path: HostPath) -> Bool {
        guard let file = try? HostFile(path) else { return false }
        return file.tryLock()
    }
}
