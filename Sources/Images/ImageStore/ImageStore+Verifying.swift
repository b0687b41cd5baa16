import Archives
public import HostFiles
import ImageLayers
import VerityTree

/// What is damaged of an image's disk.
public struct DiskDamage: Equatable, Sendable {
    public let part: DiskPart
    /// The block of the disk, counted from its beginning.
    public let block: UInt64
}

extension ImageStore {
    /// Reads an image's whole disk as a guest would, and compares each block with the hash tree.
    ///
    /// Layers of which something is damaged are forgotten: pulling or importing the image again converts them anew, and so mends
    /// every image that has them.
    /// - Parameter progress: is called with the number of blocks that have been looked at.
    public func verify(
        _ image: StoredImage, progress: (UInt64) -> Void = { _ in }
    ) throws(ImageError) -> [DiskDamage] {
        guard let rootHash = image.rootHash, image.dataBlockCount > 0,
            let treePath = image.diskPaths.last
        else { throw ImageError(.damagedStore, "the image \(image.digest) is damaged; import it again") }
        var damage: [DiskDamage] = []
        do throws(HostFileError) {
            let tree = try HostFile(HostPath(treePath))
            var check = HashTreeCheck(
                dataBlocks: image.dataBlockCount, rootHash: rootHash,
                treeOffset: image.parts.last?.kind == .whole ? image.dataBlockCount * DiskPart.blockBytes : 0)
            for (part, path) in zip(image.parts, image.diskPaths) where part.kind != .hashes {
                let file = try HostFile(HostPath(path))
                for found in try Self.check(file, part, &check, tree, progress) {
                    damage.append(Self.damage(found, part, of: image))
                }
            }
        } catch {
            throw ImageError(error, in: .damagedStore)
        }
        if !damage.isEmpty { try forgetLayers(with: Set(damage.map(\.part.digits))) }
        return damage
    }

    private static func check(
        _ file: borrowing HostFile, _ part: DiskPart, _ check: inout HashTreeCheck, _ tree: borrowing HostFile,
        _ progress: (UInt64) -> Void
    ) throws(HostFileError) -> [HashTreeDamage] {
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        var damage: [HashTreeDamage] = []
        var offset: UInt64 = 0
        let sizeBytes = part.dataBlocks * DiskPart.blockBytes
        while offset < sizeBytes {
            let count = try file.read(
                Int(min(UInt64(buffer.count), sizeBytes - offset)), at: offset, into: &buffer)
            // It was longer when it was found.
            if count == 0 || count % Int(DiskPart.blockBytes) != 0 { break }
            damage += try check.check(buffer.span.extracting(first: count), tree: tree)
            offset += UInt64(count)
            progress(check.checkedBlocks)
        }
        return damage
    }

    private static func damage(_ found: HashTreeDamage, _ part: DiskPart, of image: StoredImage) -> DiskDamage {
        switch found {
        case .data(let block): return DiskDamage(part: part, block: block)
        case .tree(let block, _):
            let tree = image.parts.last ?? part
            return DiskDamage(part: tree, block: image.dataBlockCount + block)
        }
    }

    /// Removes the indexes of layers whose segment is one of these.
    private func forgetLayers(with segments: Set<String>) throws(ImageError) {
        try whileLocked { () throws(ImageError) in
            for name in (try? folders.layers.folderNames()) ?? [] {
                let path = folders.layers.appending(name)
                guard let index = try? HostFile(path), let summary = try? LayerIndexReader.summary(index),
                    segments.contains(summary.segment.hex)
                else { continue }
                try? path.removeFile()
            }
        }
    }

    /// Writes an image's disk as a guest sees it into one file, for other programs than ours.
    public func copyDisk(
        of image: StoredImage, to target: borrowing HostFile, progress: (UInt64) -> Void = { _ in }
    ) throws(ImageError) {
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        var written: UInt64 = 0
        for path in image.diskPaths {
            let file: HostFile
            do { file = try HostFile(HostPath(path)) } catch { throw ImageError(error, in: .damagedStore) }
            var offset: UInt64 = 0
            while true {
                let count: Int
                do throws(HostFileError) {
                    count = try file.read(buffer.count, at: offset, into: &buffer)
                } catch {
                    throw ImageError(error, in: .damagedStore)
                }
                if count == 0 { break }
                do throws(HostFileError) { try target.write(buffer.span.extracting(first: count)) } catch {
                    throw ImageError(error, in: .unwritableTarget)
                }
                offset += UInt64(count)
                written += UInt64(count)
                progress(written)
            }
        }
    }
}
