import Archives
import ErofsFormat
import FileTrees
import HostFiles
import VerityTree

extension ImageStore {
    /// What an image's disk is to be made of: files whose content lies in segments.
    struct DiskContent {
        let tree: FileTree
        let segments: [DiskSegment]
        let configuration: ImageConfiguration
        /// Digests of the layers' tars.
        let layers: [SHA256Digest]
        let origin: ImageOrigin
    }

    /// Writes the metadata and the hash tree of an image's disk, and points a name at it.
    func writeImage(
        _ content: DiskContent, as name: String, source: String, _ meter: ImportMeter
    ) throws(ImageError) -> StoredImage {
        let segments = content.segments.filter { $0.layout.blockCount > 0 }
            .map { DiskPart(kind: .segment, digits: $0.name.hex, blockCount: $0.layout.blockCount) }
        guard segments.count <= DiskPart.maximumSegments else {
            throw ImageError(
                .invalidSource,
                "cannot import \(source): \(segments.count) of its layers hold files, and a disk is made of at most "
                    + "\(DiskPart.maximumSegments)")
        }
        let scratch = try StoreScratch(self)
        let metadata = try scratch.make("metadata")
        let leaves = try scratch.make("leaves")
        let hashes = try scratch.make("hashes")
        let summary: ErofsSummary
        do {
            summary = try ErofsImageWriter.write(
                content.tree, over: content.segments.map(\.layout), to: metadata, leaves: leaves)
        } catch {
            throw ImageError(error, source: source)
        }
        meter.begin(.finishing, bytesTotal: nil)
        let rootHash: SHA256Digest
        do throws(HostFileError) {
            rootHash = try Self.writeHashTree(leaves, content.segments, blockCount: summary.blockCount, to: hashes)
            try metadata.synchronize()
            try hashes.synchronize()
        } catch {
            throw ImageError(error, in: .damagedStore)
        }
        let hashBlocks = HashTreeLayout(dataBlocks: summary.blockCount).blocks
        let record = StoreDocuments.Record(
            identity: StoreDocuments.Identity(
                disk: rootHash.description, configuration: content.configuration,
                manifest: content.origin.manifest.description),
            parts: [DiskPart(kind: .metadata, digits: rootHash.hex, blockCount: summary.metadataBlocks)] + segments
                + [DiskPart(kind: .hashes, digits: rootHash.hex, blockCount: hashBlocks)],
            layers: content.layers.map(\.description), importedSeconds: Self.nowSeconds,
            blobs: content.origin.blobs.map(\.description))
        return try whileLocked { () throws(ImageError) in
            do throws(HostFileError) {
                // Also where files of these names are: they may be damaged. A machine that has them open keeps what it has.
                try scratch.path("metadata").rename(to: folders.metadata(rootHash))
                try scratch.path("hashes").rename(to: folders.hashes(rootHash))
                try folders.disks.synchronizeFolder()
            } catch {
                throw ImageError(error, in: .damagedStore)
            }
            return try commit(record, as: name)
        }
    }

    /// The tree over the metadata and the segments, from the digests of their blocks.
    private static func writeHashTree(
        _ metadataLeaves: borrowing HostFile, _ segments: [DiskSegment], blockCount: UInt64,
        to file: borrowing HostFile
    ) throws(HostFileError) -> SHA256Digest {
        var writer = HashTreeWriter(dataBlocks: blockCount)
        var buffer = [UInt8](repeating: 0, count: 1 << 17)
        try append(metadataLeaves, to: &writer, &buffer, file)
        for segment in segments { try append(try HostFile(segment.leaves), to: &writer, &buffer, file) }
        return try writer.finish(file)
    }

    private static func append(
        _ leaves: borrowing HostFile, to writer: inout HashTreeWriter, _ buffer: inout [UInt8],
        _ file: borrowing HostFile
    ) throws(HostFileError) {
        var offset: UInt64 = 0
        while true {
            let count = try leaves.read(buffer.count, at: offset, into: &buffer)
            if count == 0 { return }
            try writer.append(buffer.span.extracting(first: count), to: file)
            offset += UInt64(count)
        }
    }
}
