import Archives
import ErofsFormat
import FileTrees
import HostFiles
import ImageLayers
public import OCIImages

extension ImageStore {
    /// Turns a layer, whose blob is in the store, into blocks of disks, unless that has been done before.
    ///
    /// The result depends on nothing but the layer's tar, and stays for as long as `lease` or an image that has the layer. Layers
    /// may be converted side by side.
    /// - Parameter progress: is called with the bytes of the blob that have been read.
    public func convert(
        _ layer: OCIImage.Layer, keptBy lease: BlobLease, settings: ImportSettings = ImportSettings(),
        progress: @escaping (UInt64) -> Void = { _ in }
    ) throws(ImageError) {
        try lease.keep(layer.tarDigest)
        if summary(ofLayer: layer.tarDigest) == nil {
            let scratch = try StoreScratch(self)
            let blocks = try scratch.make("blocks")
            let leaves = try scratch.make("leaves")
            let small = try scratch.make("small")
            let index = try scratch.make("index")
            let summary: LayerSummary
            do throws(OCIError) {
                summary = try read(
                    layer, into: blocks, leaves, small, index, maximumBytes: settings.maximumContentBytes, progress)
            } catch {
                throw ImageError(error, source: "the layer \(layer.digest)")
            }
            try commit(scratch, layer.tarDigest, summary, blocks, leaves, small, index)
        }
        progress(layer.sizeBytes)
    }

    private func read(
        _ layer: OCIImage.Layer, into blocks: borrowing HostFile, _ leaves: borrowing HostFile,
        _ small: borrowing HostFile, _ index: borrowing HostFile, maximumBytes: UInt64,
        _ progress: @escaping (UInt64) -> Void
    ) throws(OCIError) -> LayerSummary {
        let conversion: LayerConversion
        do throws(HostFileError) {
            conversion = try LayerConversion(
                leaves: try leaves.duplicate(), blocks: try blocks.duplicate(), small: try small.duplicate(),
                index: try index.duplicate(), maximumBytes: maximumBytes)
        } catch {
            throw .files(.host(error))
        }
        var readBytes: UInt64 = 0
        try OCIImageReader(self.blobs).readLayer(
            layer, maximumBytes: maximumBytes,
            wrap: { source in
                CountingByteSource(source) { count in
                    readBytes += count
                    progress(readBytes)
                }
            }
        ) { tar throws(FileTreeError) in try conversion.add(tar) }
        do { return try conversion.finish() } catch { throw .files(error) }
    }

    /// Segment first, index last: what has an index is whole.
    private func commit(
        _ scratch: StoreScratch, _ layer: SHA256Digest, _ summary: LayerSummary, _ blocks: borrowing HostFile,
        _ leaves: borrowing HostFile, _ small: borrowing HostFile, _ index: borrowing HostFile
    ) throws(ImageError) {
        do throws(HostFileError) {
            try blocks.synchronize()
            try leaves.synchronize()
            try small.synchronize()
            try index.synchronize()
        } catch {
            throw ImageError(error, in: .damagedStore)
        }
        try whileLocked { () throws(ImageError) in
            do throws(HostFileError) {
                try scratch.path("blocks").rename(to: folders.blocks(summary.segment))
                try scratch.path("leaves").rename(to: folders.leaves(summary.segment))
                try scratch.path("small").rename(to: folders.smallContents(layer))
                try folders.segments.synchronizeFolder()
                try scratch.path("index").rename(to: folders.layerIndex(layer))
                try folders.layers.synchronizeFolder()
            } catch {
                throw ImageError(error, in: .damagedStore)
            }
        }
    }

    /// What a converted layer's index says of it; nil where the layer is not here, or damaged.
    func summary(ofLayer layer: SHA256Digest) -> LayerSummary? {
        guard let index = try? HostFile(folders.layerIndex(layer)), (try? LayerIndexReader.verify(index)) == true,
            let summary = try? LayerIndexReader.summary(index), summary.blockCount <= DiskPart.maximumBlocks,
            let small = try? HostFile(folders.smallContents(layer)),
            (try? SHA256Digest(ofFile: small)) == summary.small,
            (try? folders.blocks(summary.segment).status())?.sizeBytes == summary.blockCount * DiskPart.blockBytes,
            (try? folders.leaves(summary.segment).status())?.sizeBytes
                == summary.blockCount * UInt64(SHA256Digest.byteCount)
        else { return nil }
        return summary
    }

    /// The files of converted layers, laid one over the other, and the segments in which their content lies.
    func merge(
        _ layers: [SHA256Digest], limits: TreeLimits, source: String
    ) throws(ImageError) -> (tree: FileTree, segments: [DiskSegment]) {
        let builder = TreeBuilder(limits: limits)
        var segments: [DiskSegment] = []
        for (number, layer) in layers.enumerated() {
            builder.beginLayer()
            do throws(FileTreeError) {
                segments.append(try merge(layer, number, into: builder))
            } catch {
                throw ImageError(error, source: source)
            }
        }
        return (builder.tree, segments)
    }

    private func merge(
        _ layer: SHA256Digest, _ number: Int, into builder: TreeBuilder
    ) throws(FileTreeError) -> DiskSegment {
        let small = ContentSource(try Self.open(folders.smallContents(layer)))
        let reader = try Self.reader(try Self.open(folders.layerIndex(layer)), number)
        while let (entry, content) = try Self.next(reader) { try builder.add(entry, content: content) }
        guard let summary = reader.summary else { throw .archive(.truncated(at: 0)) }
        return DiskSegment(
            name: summary.segment, layout: ErofsSegment(blockCount: summary.blockCount, small: small),
            leaves: folders.leaves(summary.segment))
    }

    private static func open(_ path: HostPath) throws(FileTreeError) -> HostFile {
        do { return try HostFile(path) } catch { throw .host(error) }
    }

    private static func reader(
        _ index: borrowing HostFile, _ number: Int
    ) throws(FileTreeError) -> LayerIndexReader {
        do { return try LayerIndexReader(index, segment: number) } catch { throw .archive(error) }
    }

    private static func next(_ reader: LayerIndexReader) throws(FileTreeError) -> (TarEntry, PackedContent?)? {
        do { return try reader.next() } catch { throw .archive(error) }
    }
}
