public import Archives
public import FileTrees

extension OCIImageReader {
    /// An image's files: its layers laid one over the other.
    ///
    /// Their content goes to `spool`. `wrap` may look at the stored bytes of each layer as they are read, for progress.
    public func files(
        of image: OCIImage, limits: TreeLimits, spool: ContentSpool,
        wrap: (any ByteSource) -> any ByteSource = { $0 }
    ) throws(OCIError) -> FileTree {
        let builder = TreeBuilder(limits: limits)
        var leftBytes = limits.maximumContentBytes
        for layer in image.layers {
            let stored = wrap(try source(layer))
            do throws(FileTreeError) {
                let reader: ByteReader
                do throws(ArchiveError) {
                    let plain = try ArchiveFormat.decompressed(stored)
                    reader = ByteReader(
                        DigestingByteSource(plain, expected: layer.tarDigest, expectedBytes: nil), limit: leftBytes)
                } catch {
                    throw .archive(error)
                }
                try builder.add(reader, content: .spool(spool), hasWhiteouts: true)
                leftBytes -= min(leftBytes, reader.position)
                // The compressor's last bytes lie behind what the tar needed.
                var rest = [UInt8](repeating: 0, count: 1 << 16)
                do throws(ArchiveError) { while try stored.read(into: &rest) > 0 {} } catch { throw .archive(error) }
            } catch .archive(let error) {
                throw .blob("\(layer.digest)", error)
            } catch {
                throw .files(error)
            }
        }
        return builder.tree
    }
}
