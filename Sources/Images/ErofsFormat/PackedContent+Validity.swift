public import FileTrees

extension PackedContent {
    /// Whether a disk can be written with it: everything adds up. Of what `ErofsPacker` returns it always does.
    ///
    /// Trust: any numbers at all, such as those of a damaged file.
    public var isValid: Bool {
        guard sizeBytes <= 1 << 43 else {
            // Only holes make a file longer than the longest disk.
            guard case .chunked(let chunks) = form else { return false }
            return sizeBytes <= UInt64(Int64.max) && isValid(chunks)
        }
        switch form {
        case .small: return sizeBytes <= ErofsPacker.maximumSmallBytes
        case .flat: return true
        case .chunked(let chunks): return isValid(chunks)
        case .compressed(let clusters): return isValid(clusters)
        }
    }

    private func isValid(_ chunks: Chunks) -> Bool {
        let above = chunks.bits - Int(ErofsLayout.blockBits)
        guard (0...ErofsLayout.maximumChunkBitsAboveBlock).contains(above) else { return false }
        let rest = sizeBytes & (1 << UInt64(chunks.bits) - 1)
        return UInt64(chunks.blocks.count) == sizeBytes >> UInt64(chunks.bits) + (rest == 0 ? 0 : 1)
    }

    /// The clusters cover the file; each ends in a later block of it than it begins in, the last one aside.
    private func isValid(_ clusters: [Cluster]) -> Bool {
        guard clusters.first?.offset == 0 else { return false }
        let blockBytes = UInt64(ErofsLayout.blockBytes)
        for (index, cluster) in clusters.enumerated() {
            let isLast = index + 1 == clusters.count
            let end = isLast ? sizeBytes : clusters[index + 1].offset
            guard end > cluster.offset, end <= sizeBytes, cluster.blockCount > 0,
                isLast || end / blockBytes > cluster.offset / blockBytes
            else { return false }
            let blockCount = UInt64(cluster.blockCount)
            if cluster.isPlain {
                let room = (cluster.offset / blockBytes + blockCount) * blockBytes
                guard end == room || (isLast && end < room && room - end < blockBytes) else { return false }
            } else {
                guard end - cluster.offset <= UInt64(ClusterCompressor.maximumInputBytes),
                    blockCount * blockBytes <= UInt64(ClusterCompressor.clusterBytes)
                else { return false }
            }
        }
        return true
    }
}
