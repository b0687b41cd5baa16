import Archives
import FileTrees
import HostFiles
import JSONValues
import OCIImages

/// Layers that are made here, of plain files or of tars that came without a manifest: compressed, so that they take little room
/// and can be handed on as they are.
extension ImageStore {
    /// Makes an image of one layer.
    func load(
        _ files: FileTree, source: String, as name: String, _ settings: ImportSettings, _ meter: ImportMeter
    ) throws(ImageError) -> StoredImage {
        var configuration = ImageConfiguration()
        configuration.architecture = ImportSettings.hostArchitecture
        try configuration.apply(settings.overrides)
        let scratch = try StoreScratch(self)
        meter.begin(.reading, bytesTotal: nil)
        let (layer, tarDigest) = try compressed(source, scratch.make("layer")) { sink throws(FileTreeError) in
            var writer = TarWriter(sink)
            try files.write(to: &writer) { meter.set($0) }
            do throws(HostFileError) { try writer.finish() } catch { throw .host(error) }
        }
        var settings = settings
        settings.overrides = ImportSettings.Overrides()
        return try load(
            try archived([], configuration.document(layer: tarDigest).bytes, [layer]), as: [name], settings, meter)
    }

    /// The same image with every layer that is a plain tar compressed, where nobody has decided otherwise by a manifest.
    /// - Throws: `.wrongBlob` for a layer that is not the one its configuration names.
    func compressingOwnLayers(
        of archived: ArchivedImage, _ scratch: StoreScratch, _ meter: ImportMeter
    ) throws(ImageError) -> ArchivedImage {
        guard let layers = archived.ownLayers, layers.contains(where: { $0.mediaType == OCIMediaType.layer }),
            case .bytes(let configuration)? = archived.blobs.first?.content
        else { return archived }
        meter.begin(.reading, bytesTotal: layers.reduce(0) { $0 &+ $1.content.sizeBytes })
        var compressedLayers: [ArchivedImage.Layer] = []
        for (number, layer) in layers.enumerated() {
            guard layer.mediaType == OCIMediaType.layer else {
                compressedLayers.append(layer)
                continue
            }
            let (compressed, digest) = try compressed(
                "the layer \(layer.digest)", scratch.make("layer-\(number)")
            ) { sink throws(FileTreeError) in
                do throws(ArchiveError) {
                    try CountingByteSource(FileContentSource(layer.content), meter.add).copy(to: sink)
                } catch {
                    throw .archive(error)
                }
            }
            guard digest == layer.digest else {
                throw ImageError(.wrongBlob, "what came for \(layer.digest) has the digest \(digest)")
            }
            compressedLayers.append(compressed)
        }
        return try self.archived(archived.names, configuration, compressedLayers)
    }

    private func compressed(
        _ source: String, _ file: consuming HostFile, _ write: (GzipByteSink) throws(FileTreeError) -> Void
    ) throws(ImageError) -> (layer: ArchivedImage.Layer, tarDigest: SHA256Digest) {
        do throws(FileTreeError) {
            let sink = try Self.sink(file)
            try write(sink)
            let summary: GzipByteSink.Summary
            do { summary = try sink.finish() } catch { throw .host(error) }
            let content = FileContent(
                sizeBytes: summary.compressedBytes,
                pieces: [FileContent.Piece(offset: 0, length: summary.compressedBytes, sourceOffset: 0)],
                source: ContentSource(file))
            return (
                ArchivedImage.Layer(
                    mediaType: OCIMediaType.layer + "+gzip", digest: summary.compressed, content: content),
                summary.plain
            )
        } catch {
            throw ImageError(error, source: source)
        }
    }

    private static func sink(_ file: borrowing HostFile) throws(FileTreeError) -> GzipByteSink {
        let duplicate: HostFile
        do { duplicate = try file.duplicate() } catch { throw .host(error) }
        do { return try GzipByteSink(duplicate) } catch { throw .archive(error) }
    }

    private func archived(
        _ names: [ArchivedImage.Name], _ configuration: [UInt8], _ layers: [ArchivedImage.Layer]
    ) throws(ImageError) -> ArchivedImage {
        do { return try ArchivedImage(names: names, configuration: configuration, layers: layers) } catch {
            throw ImageError(error, source: "the image")
        }
    }
}
