/// Reads a tar member by member in one pass: ustar, pax, GNU and the old format, without seeking and with bounded memory.
///
/// Use: `while let entry = try reader.next()`, and for files `readContent` until it returns zero. What is not read is passed
/// over.
/// Source: POSIX.1-2017 pax, "ustar Interchange Format" and "pax Interchange Format"; GNU tar manual, "Tar Internals".
public final class TarReader {
    /// The longest path or link target that a long-name member may carry.
    static let maximumNameBytes: UInt64 = 1 << 16

    let reader: ByteReader
    private var global = PaxRecords()
    /// Bytes of the current member's content that are still in the archive, and the padding after them.
    private var contentLeft: UInt64 = 0
    private var paddingLeft: UInt64 = 0
    private var hasEnded = false

    public init(_ reader: ByteReader) { self.reader = reader }

    /// The next member, or nil after the last one.
    ///
    /// An archive ends with a block of zeros, or where the source ends between two members.
    public func next() throws(ArchiveError) -> TarEntry? {
        if hasEnded { return nil }
        try passOverContent()
        if hasEnded { return nil }
        var local = PaxRecords()
        var longPath: [UInt8]?
        var longTarget: [UInt8]?
        var firstOffset: UInt64?
        while true {
            let offset = reader.position
            guard let bytes = try reader.readOptional(TarHeader.length) else {
                // Extension headers without the member that they are for.
                if firstOffset != nil { throw .truncated(at: offset) }
                hasEnded = true
                return nil
            }
            let header = TarHeader(bytes, offset: offset)
            if header.isZero {
                if firstOffset != nil { throw .invalidField("place (extended headers belong to no entry)", at: offset) }
                hasEnded = true
                return nil
            }
            guard header.hasRightChecksum else { throw .wrongChecksum(at: offset) }
            firstOffset = firstOffset ?? offset
            switch header.typeFlag {
            case UInt8(ascii: "x"), UInt8(ascii: "X"):
                try local.merge(try readExtension(header, limit: PaxRecords.maximumBytes), at: offset)
            case UInt8(ascii: "g"):
                try global.merge(try readExtension(header, limit: PaxRecords.maximumBytes), at: offset)
                firstOffset = nil
            case UInt8(ascii: "L"):
                longPath = Array(try readExtension(header, limit: Self.maximumNameBytes).prefix { $0 != 0 })
            case UInt8(ascii: "K"):
                longTarget = Array(try readExtension(header, limit: Self.maximumNameBytes).prefix { $0 != 0 })
            case UInt8(ascii: "V"):
                // A volume label: a name and nothing else.
                setContent(try header.sizeBytes())
                try passOverContent()
                firstOffset = nil
            default:
                return try entry(
                    header, global.merged(with: local), longPath, longTarget, firstOffset: firstOffset ?? offset)
            }
        }
    }

    /// Fills the start of `buffer` with the next stored bytes of the current member; zero means that there are no more.
    public func readContent(into buffer: inout [UInt8]) throws(ArchiveError) -> Int {
        let wanted = Int(min(contentLeft, UInt64(buffer.count)))
        if wanted == 0 { return 0 }
        let count = try reader.read(upTo: wanted, into: &buffer)
        if count == 0 { throw .truncated(at: reader.position) }
        contentLeft -= UInt64(count)
        return count
    }

    private func setContent(_ bytes: UInt64) {
        contentLeft = bytes
        paddingLeft = (0 &- bytes) & UInt64(TarHeader.length - 1)
    }

    private func passOverContent() throws(ArchiveError) {
        try reader.skip(contentLeft)
        contentLeft = 0
        // The last member's padding is missing in what umoci writes of single files.
        var padding = [UInt8](repeating: 0, count: TarHeader.length)
        while paddingLeft > 0 {
            let count = try reader.read(upTo: Int(paddingLeft), into: &padding)
            if count == 0 {
                hasEnded = true
                return
            }
            paddingLeft -= UInt64(count)
        }
    }

    /// The content of a member that describes the next one.
    private func readExtension(_ header: TarHeader, limit: UInt64) throws(ArchiveError) -> [UInt8] {
        let size = try header.sizeBytes()
        guard size <= limit else {
            throw .overBound("an extended header has \(size) bytes, more than \(limit)", at: header.offset)
        }
        setContent(size)
        let content = try reader.readExactly(Int(size))
        contentLeft = 0
        try passOverContent()
        return content
    }

    private func entry(
        _ header: TarHeader, _ records: PaxRecords, _ longPath: [UInt8]?, _ longTarget: [UInt8]?, firstOffset: UInt64
    ) throws(ArchiveError) -> TarEntry {
        let offset = header.offset
        var entry = TarEntry()
        entry.headerOffset = firstOffset
        entry.path = records["GNU.sparse.name"] ?? records["path"] ?? longPath ?? header.path
        entry.mode = try header.mode()
        // A record stands in where the number does not fit the field, which then may hold anything.
        if let userID = try records.identifier("uid", at: offset) {
            entry.userID = userID
        } else {
            entry.userID = try header.userID()
        }
        if let groupID = try records.identifier("gid", at: offset) {
            entry.groupID = groupID
        } else {
            entry.groupID = try header.groupID()
        }
        entry.userName = records["uname"] ?? header.userName
        entry.groupName = records["gname"] ?? header.groupName
        if let time = try records.time("mtime", at: offset) {
            (entry.modifiedSeconds, entry.modifiedNanoseconds) = time
        } else {
            entry.modifiedSeconds = try header.modifiedSeconds()
        }
        entry.extendedAttributes = records.attributes
        let target = records["linkpath"] ?? longTarget ?? header.linkTarget
        entry.kind = try kind(header, path: entry.path, target: target)
        try readExtents(header, records, into: &entry)
        return entry
    }

    private func kind(_ header: TarHeader, path: [UInt8], target: [UInt8]) throws(ArchiveError) -> TarEntry.Kind {
        switch header.typeFlag {
        case 0, UInt8(ascii: "0"), UInt8(ascii: "7"):
            // Before POSIX, a folder was a file whose name ends so.
            return path.last == UInt8(ascii: "/") ? .folder : .file
        case UInt8(ascii: "S"): return .file
        case UInt8(ascii: "1"): return .hardLink(target: target)
        case UInt8(ascii: "2"): return .symbolicLink(target: target)
        case UInt8(ascii: "3"):
            return .characterDevice(major: try header.deviceMajor(), minor: try header.deviceMinor())
        case UInt8(ascii: "4"):
            return .blockDevice(major: try header.deviceMajor(), minor: try header.deviceMinor())
        case UInt8(ascii: "5"), UInt8(ascii: "D"): return .folder
        case UInt8(ascii: "6"): return .fifo
        case UInt8(ascii: "M"): throw .unsupported("part of a tar on several volumes", at: header.offset)
        default:
            let flag = String(decoding: [header.typeFlag], as: UTF8.self)
            throw .unsupported("of the unknown type \"\(flag)\"", at: header.offset)
        }
    }

    /// Sets size, pieces and place of the content, and what is to be read or passed over.
    private func readExtents(
        _ header: TarHeader, _ records: PaxRecords, into entry: inout TarEntry
    ) throws(ArchiveError) {
        let offset = header.offset
        let recorded = try records.number("size", at: offset)
        let announced = if let recorded { recorded } else { try header.sizeBytes() }
        guard announced <= UInt64(Int64.max) else { throw .invalidField("size", at: offset) }
        switch entry.kind {
        case .file: break
        case .folder where header.typeFlag == UInt8(ascii: "D"): return setContent(announced)
        // Some writers give links and folders the size of what they stand for, and no content.
        default: return setContent(0)
        }
        var stored = announced
        var map: (extents: [TarEntry.Extent], size: UInt64)?
        if header.typeFlag == UInt8(ascii: "S") {
            map = try readOldSparseMap(header)
        } else {
            map = try readPaxSparseMap(records, storedBytes: &stored, at: offset)
        }
        if let map {
            guard map.size <= UInt64(Int64.max) else { throw .invalidField("size", at: offset) }
            entry.sizeBytes = map.size
            entry.extents = try checked(map.extents, size: map.size, storedBytes: stored, at: offset)
        } else {
            entry.sizeBytes = stored
            entry.extents = stored > 0 ? [TarEntry.Extent(offset: 0, length: stored)] : []
        }
        entry.contentOffset = reader.position
        // The map of format 1.0 is whole blocks, so that padding is the same with and without it.
        setContent(stored)
    }
}
