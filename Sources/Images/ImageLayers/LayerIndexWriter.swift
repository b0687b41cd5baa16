import Archives
import FileTrees
import HostFiles

/// Writes a layer's index, entry after entry.
struct LayerIndexWriter: ~Copyable {
    private let file: HostFile
    private var pending: [UInt8] = LayerIndex.magic
    private var hash = SHA256()
    private static let pendingBytes = 1 << 18

    init(_ file: consuming HostFile) { self.file = file }

    mutating func append(_ entry: TarEntry, _ content: PackedContent?) throws(HostFileError) {
        append(kind(of: entry).rawValue)
        append(entry.path)
        append(entry.mode)
        append(entry.userID)
        append(entry.groupID)
        append(entry.modifiedSeconds)
        append(entry.modifiedNanoseconds)
        append(UInt32(truncatingIfNeeded: entry.extendedAttributes.count))
        for attribute in entry.extendedAttributes {
            append(attribute.name)
            append(attribute.value)
        }
        switch entry.kind {
        case .hardLink(let target), .symbolicLink(let target): append(target)
        case .characterDevice(let major, let minor), .blockDevice(let major, let minor):
            append(major)
            append(minor)
        case .file: if let content { append(content) }
        case .folder, .fifo: break
        }
        if pending.count >= Self.pendingBytes { try flush() }
    }

    mutating func finish(_ summary: LayerSummary) throws(HostFileError) {
        append(LayerIndex.Kind.end.rawValue)
        pending += summary.segment.bytes
        append(summary.blockCount)
        pending += summary.small.bytes
        try flush()
        try file.write(hash.finalize().bytes)
    }

    private mutating func flush() throws(HostFileError) {
        hash.update(pending)
        try file.write(pending)
        pending.removeAll(keepingCapacity: true)
    }

    private func kind(of entry: TarEntry) -> LayerIndex.Kind {
        switch entry.kind {
        case .file: .file
        case .hardLink: .hardLink
        case .symbolicLink: .symbolicLink
        case .characterDevice: .characterDevice
        case .blockDevice: .blockDevice
        case .folder: .folder
        case .fifo: .fifo
        }
    }

    private mutating func append(_ content: PackedContent) {
        append(content.sizeBytes)
        switch content.form {
        case .small(let offset):
            append(LayerIndex.Form.small.rawValue)
            append(offset)
        case .flat(let block):
            append(LayerIndex.Form.flat.rawValue)
            append(block)
        case .chunked(let chunks):
            append(LayerIndex.Form.chunked.rawValue)
            append(UInt8(truncatingIfNeeded: chunks.bits))
            append(UInt32(truncatingIfNeeded: chunks.blocks.count))
            for block in chunks.blocks { append(block ?? LayerIndex.hole) }
        case .compressed(let clusters):
            append(LayerIndex.Form.compressed.rawValue)
            append(UInt32(truncatingIfNeeded: clusters.count))
            for cluster in clusters {
                append(cluster.offset)
                append(cluster.block)
                append(cluster.blockCount)
                append(cluster.isPlain ? UInt8(1) : 0)
            }
        }
    }

    private mutating func append(_ text: [UInt8]) {
        append(UInt32(truncatingIfNeeded: text.count))
        pending += text
    }

    private mutating func append(_ value: some FixedWidthInteger) {
        for byte in 0..<(value.bitWidth / 8) { pending.append(UInt8(truncatingIfNeeded: value >> (8 * byte))) }
    }
}
