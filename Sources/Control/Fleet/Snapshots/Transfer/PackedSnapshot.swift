public import Archives
public import HostFiles
import LinuxCalls
public import OCIImages

/// A snapshot as an artifact that can be handed on: a description, and each file as a compressed tar of its own. It lies in files
/// without names, which are gone with this.
public final class PackedSnapshot: Sendable {
    /// One part, to be read from any place.
    public final class Blob: Sendable {
        public let part: OCIArtifact.Part
        private let file: HostFile

        init(_ part: OCIArtifact.Part, _ file: consuming HostFile) {
            self.part = part
            self.file = file
        }

        public func read(_ count: Int, at offset: UInt64, into buffer: inout [UInt8]) throws(HostFileError) -> Int {
            try file.read(count, at: offset, into: &buffer)
        }

        func source() throws(HostFileError) -> FileByteSource {
            FileByteSource(try file.duplicate(), range: 0..<part.sizeBytes)
        }
    }

    public let name: String
    public let artifact: OCIArtifact
    public let blobs: [Blob]
    public let manifest: [UInt8]
    public var digest: SHA256Digest { SHA256.digest(of: manifest) }
    public var sizeBytes: UInt64 { blobs.reduce(0) { $0 + $1.part.sizeBytes } }

    private init(name: String, _ artifact: OCIArtifact, _ blobs: [Blob]) {
        self.name = name
        self.artifact = artifact
        self.blobs = blobs
        manifest = artifact.manifest
    }

    /// Packs a snapshot.
    /// - Parameters:
    ///   - folder: on the disk that has room for it.
    ///   - imageManifest: what registries call its image.
    ///   - progress: how many bytes of its files are done, of how many.
    static func pack(
        _ record: SnapshotRecord, in snapshot: HostPath, imageManifest: String?, folder: HostPath,
        progress: @escaping (_ done: UInt64, _ size: UInt64) -> Void
    ) throws -> PackedSnapshot {
        var sources: [(name: String, source: SparseFileSource)] = []
        try snapshotFiles { () throws(HostFileError) in
            for name in [SnapshotRecord.stateName, SnapshotRecord.memoryName] {
                sources.append((name, try SparseFileSource(snapshot.appending(name))))
            }
        }
        // Those that the machine only read are where they were.
        let copied = Set(record.disks.map(\.place))
        for (place, disk) in record.allDisks.enumerated() {
            let path = copied.contains(place) ? snapshot.appending("disk\(place)") : HostPath(disk.path)
            guard let status = try? path.status(), status.isRegularFile else {
                throw SnapshotError(
                    .unsuitableMachine,
                    "the snapshot \"\(record.name)\" cannot be handed on: its machine reads \(path), which is no file, or is gone"
                )
            }
            sources.append(
                (
                    SnapshotDescription.diskName(place),
                    try snapshotFiles { () throws(HostFileError) in try SparseFileSource(path) }
                ))
        }
        let files = sources.map {
            SnapshotDescription.File(name: $0, sizeBytes: $1.sizeBytes, dataBytes: $1.dataBytes)
        }
        let root: String
        if let known = record.memoryRoot {
            root = known
        } else {
            root = try snapshotFiles { () throws(HostFileError) in
                try MemoryTree.write(
                    of: snapshot.appending(SnapshotRecord.memoryName), to: HostFile.scratch(in: folder)
                ).hex
            }
        }
        let description = SnapshotDescription(
            record, manifest: imageManifest, files: files, memoryRoot: root
        ).encoded
        let whole = sources.reduce(0) { $0 + $1.source.dataBytes }
        var done: UInt64 = 0
        var layers: [Blob] = []
        for (name, source) in sources {
            layers.append(
                try pack(source, name, folder) {
                    done += $0
                    progress(done, whole)
                })
        }
        let descriptionFile = try unnamedFile(in: folder)
        try snapshotFiles { () throws(HostFileError) in try descriptionFile.write(description) }
        let configuration = OCIArtifact.Part(
            mediaType: SnapshotDescription.mediaType, digest: SHA256.digest(of: description),
            sizeBytes: UInt64(description.count))
        return PackedSnapshot(
            name: record.name,
            OCIArtifact(
                artifactType: SnapshotDescription.artifactType, configuration: configuration,
                layers: layers.map(\.part)),
            [Blob(configuration, descriptionFile)] + layers)
    }

    private static func pack(
        _ source: SparseFileSource, _ name: String, _ folder: HostPath, progress: @escaping (UInt64) -> Void
    ) throws -> Blob {
        let file = try unnamedFile(in: folder)
        do throws(ArchiveError) {
            let copy: HostFile
            do { copy = try file.duplicate() } catch { throw .host(error) }
            let sink = try GzipByteSink(copy)
            var writer = TarWriter(sink)
            var entry = TarEntry()
            entry.path = Array(name.utf8)
            entry.mode = 0o600
            entry.sizeBytes = source.sizeBytes
            entry.extents = source.extents
            try writer.add(entry, CountingByteSource(source, progress))
            do throws(HostFileError) {
                try writer.finish()
                let summary = try sink.finish()
                let part = OCIArtifact.Part(
                    mediaType: SnapshotDescription.fileType, digest: summary.compressed,
                    sizeBytes: summary.compressedBytes, title: name)
                return Blob(part, file)
            } catch { throw .host(error) }
        } catch .host(let error) {
            throw SnapshotError(error)
        } catch {
            throw SnapshotError(.damaged, "a file of the snapshot was changed while it was read: \(error)")
        }
    }

    private static func unnamedFile(in folder: HostPath) throws(SnapshotError) -> HostFile {
        try snapshotFiles { () throws(HostFileError) in try HostFile.scratch(in: folder) }
    }

    // MARK: As a file

    /// Writes it as a tar of an OCI layout.
    public func write(to sink: FileByteSink) throws(SnapshotError) {
        do throws(ArchiveError) {
            var writer = TarWriter(sink)
            for (path, bytes) in artifact.layout(named: name) { try writer.add(path, bytes) }
            for blob in blobs {
                let source: FileByteSource
                do { source = try blob.source() } catch { throw .host(error) }
                try writer.add(OCILayout.path(blob.part.digest), sizeBytes: blob.part.sizeBytes, source)
            }
            do { try writer.finish() } catch { throw .host(error) }
        } catch .host(let error) {
            throw SnapshotError(error)
        } catch {
            throw SnapshotError(.damaged, "what was packed cannot be read: \(error)")
        }
    }

    /// Writes it into a file, which takes the place of another when it is whole; into a device or a pipe as it comes.
    public func write(to path: HostPath) throws(SnapshotError) {
        if let status = try? path.status(), !status.isRegularFile {
            return try write(
                to: FileByteSink(try snapshotFiles { () throws(HostFileError) in try HostFile(path, [.writeOnly]) }))
        }
        guard let file = try Self.unnamed(beside: path) else { return try writeNamed(path) }
        try write(synchronizing: file)
        do { try file.take(name: path) } catch { throw SnapshotError(error) }
    }

    private static func unnamed(beside path: HostPath) throws(SnapshotError) -> HostFile? {
        do throws(HostFileError) { return try HostFile(unnamedIn: path.folder, mode: 0o600) } catch {
            guard error.hasNoUnnamedFiles else { throw SnapshotError(error) }
            return nil
        }
    }

    private func writeNamed(_ path: HostPath) throws(SnapshotError) {
        let temporary = HostPath("\(path).new-\(processID())")
        do throws(SnapshotError) {
            try write(
                synchronizing: try snapshotFiles { () throws(HostFileError) in
                    try HostFile(temporary, [.writeOnly, .create, .truncate], mode: 0o600)
                })
            try snapshotFiles { () throws(HostFileError) in try temporary.rename(to: path) }
        } catch {
            try? temporary.removeFile()
            throw error
        }
    }

    private func write(synchronizing file: borrowing HostFile) throws(SnapshotError) {
        let copy: HostFile
        do { copy = try file.duplicate() } catch { throw SnapshotError(error) }
        try write(to: FileByteSink(copy))
        do { try file.synchronize() } catch { throw SnapshotError(error) }
    }
}
