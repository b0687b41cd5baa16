public import HostFiles

/// Writes a tar that depends on names and content alone: everything is root's, made at no time, readable by all.
///
/// Source: POSIX.1-2024, pax, "ustar Interchange Format"; lengths from 8 GiB on as GNU tar writes them.
public struct TarWriter: ~Copyable {
    private let file: HostFile
    private var pending: [UInt8] = []
    private static let blockBytes = 512
    private static let pieceBytes = 1 << 18

    /// - Parameter file: written at its own position, so that it may be a pipe.
    public init(_ file: consuming HostFile) { self.file = file }

    /// Adds a folder; its name has up to 99 bytes, or is one that `split` parts.
    public mutating func addFolder(_ name: String, mode: Int = 0o755) throws(HostFileError) {
        try put(Self.header(name + "/", sizeBytes: 0, type: UInt8(ascii: "5"), mode: mode))
    }

    /// Adds a file of exactly `sizeBytes`, read from `source` to its end; its name has up to 100 bytes, or is one that
    /// `split` parts.
    /// - Throws: what the source throws, or `.truncated` when it has another length.
    public mutating func add(
        _ name: String, sizeBytes: UInt64, _ source: any ByteSource, mode: Int = 0o644
    ) throws(ArchiveError) {
        try Self.host { () throws(HostFileError) in
            try put(Self.header(name, sizeBytes: sizeBytes, type: UInt8(ascii: "0"), mode: mode))
        }
        var buffer = [UInt8](repeating: 0, count: Self.pieceBytes)
        var done: UInt64 = 0
        while true {
            let count = try source.read(into: &buffer)
            if count == 0 { break }
            done += UInt64(count)
            guard done <= sizeBytes else { throw .truncated(at: sizeBytes) }
            try Self.host { () throws(HostFileError) in
                try flush()
                try file.write(buffer.span.extracting(first: count))
            }
        }
        guard done == sizeBytes else { throw .truncated(at: done) }
        let padding = Int((UInt64(Self.blockBytes) - done % UInt64(Self.blockBytes)) % UInt64(Self.blockBytes))
        pending += [UInt8](repeating: 0, count: padding)
    }

    public mutating func add(_ name: String, _ bytes: [UInt8], mode: Int = 0o644) throws(ArchiveError) {
        try add(name, sizeBytes: UInt64(bytes.count), MemoryByteSource(bytes), mode: mode)
    }

    /// A longer name in the two parts that a header has room for; nil where no slash lies so that both fit.
    public static func split(_ name: String) -> (prefix: String, rest: String)? {
        let bytes = Array(name.utf8)
        for index in bytes.indices.dropFirst() where bytes[index] == UInt8(ascii: "/") && index < bytes.count - 1 {
            guard index <= 155, bytes.count - index - 1 <= 100 else { continue }
            return (
                String(decoding: bytes[..<index], as: UTF8.self), String(decoding: bytes[(index + 1)...], as: UTF8.self)
            )
        }
        return nil
    }

    /// Ends the archive. Whether it is on the disk by then is the caller's to see to.
    /// - Returns: the file.
    public consuming func finish() throws(HostFileError) -> HostFile {
        try put([UInt8](repeating: 0, count: 2 * Self.blockBytes))
        try flush()
        return file
    }

    private mutating func put(_ bytes: [UInt8]) throws(HostFileError) {
        pending += bytes
        if pending.count >= Self.pieceBytes { try flush() }
    }

    private mutating func flush() throws(HostFileError) {
        if pending.isEmpty { return }
        try file.write(pending)
        pending.removeAll(keepingCapacity: true)
    }

    private static func host<R>(_ body: () throws(HostFileError) -> R) throws(ArchiveError) -> R {
        do { return try body() } catch { throw .host(error) }
    }

    static func header(_ name: String, sizeBytes: UInt64, type: UInt8, mode: Int) -> [UInt8] {
        var header = [UInt8](repeating: 0, count: blockBytes)
        func put(_ bytes: some Collection<UInt8>, at offset: Int) {
            for (index, byte) in bytes.enumerated() { header[offset + index] = byte }
        }
        func octal(_ value: UInt64, _ digits: Int, at offset: Int) {
            let text = String(value, radix: 8)
            put((String(repeating: "0", count: max(0, digits - text.count)) + text).utf8, at: offset)
        }
        let parts = name.utf8.count <= 100 ? ("", name) : split(name)
        precondition(parts != nil, "a name that this program chose is too long for a tar")
        put((parts?.1 ?? "").utf8, at: 0)
        put((parts?.0 ?? "").utf8, at: 345)
        octal(UInt64(mode), 7, at: 100)
        octal(0, 7, at: 108)
        octal(0, 7, at: 116)
        if sizeBytes < 1 << 33 {
            octal(sizeBytes, 11, at: 124)
        } else {
            header[124] = 0x80
            for index in 0..<8 { header[135 - index] = UInt8(truncatingIfNeeded: sizeBytes >> UInt64(8 * index)) }
        }
        octal(0, 11, at: 136)
        header[156] = type
        put("ustar\u{0}00".utf8, at: 257)
        put(repeatElement(UInt8(ascii: " "), count: 8), at: 148)
        octal(header.reduce(0) { $0 + UInt64($1) }, 6, at: 148)
        header[154] = 0
        return header
    }
}
