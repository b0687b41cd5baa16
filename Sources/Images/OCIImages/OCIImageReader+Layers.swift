public import Archives
public import FileTrees

extension OCIImageReader {
    /// Reads a layer to its very end: what `body` has taken of its tar is right when this returns without an error.
    ///
    /// - Parameters:
    ///   - maximumBytes: the most that the layer may unpack to.
    ///   - wrap: may look at the stored bytes as they are read.
    /// - Throws: what is wrong with the layer, or what `body` throws.
    public func readLayer(
        _ layer: OCIImage.Layer, maximumBytes: UInt64, wrap: (any ByteSource) -> any ByteSource = { $0 },
        _ body: (TarReader) throws(FileTreeError) -> Void
    ) throws(OCIError) {
        let stored = wrap(try source(layer))
        do throws(FileTreeError) {
            let reader = try Self.tar(in: stored, layer, maximumBytes: maximumBytes)
            try body(TarReader(reader))
            try Self.drain(reader, stored)
        } catch .archive(let error) {
            throw .blob("\(layer.digest)", error)
        } catch {
            throw .files(error)
        }
    }

    private static func tar(
        in stored: any ByteSource, _ layer: OCIImage.Layer, maximumBytes: UInt64
    ) throws(FileTreeError) -> ByteReader {
        do throws(ArchiveError) {
            let plain = DigestingByteSource(
                try ArchiveFormat.decompressed(stored), expected: layer.tarDigest, expectedBytes: nil)
            return ByteReader(try ReadAheadByteSource(plain), limit: maximumBytes)
        } catch {
            throw .archive(error)
        }
    }

    /// Only the ends of both streams tell whether they were right.
    private static func drain(_ reader: ByteReader, _ stored: any ByteSource) throws(FileTreeError) {
        do throws(ArchiveError) {
            try reader.drain()
            // The compressor's last bytes lie behind what the tar needed.
            var rest = [UInt8](repeating: 0, count: 1 << 16)
            while try stored.read(into: &rest) > 0 {}
        } catch {
            throw .archive(error)
        }
    }
}
