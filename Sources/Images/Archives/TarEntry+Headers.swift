/// An entry as headers: the ustar header, and before it a pax extended header with what has no room there.
///
/// Source: POSIX.1-2024, pax, "ustar Interchange Format" and "pax Extended Header"; star(5) for `SCHILY.xattr`; GNU tar manual,
/// "PAX Format, Version 1.0" of sparse files.
extension TarEntry {
    /// Everything that stands before the stored bytes: headers, and the map of a sparse file.
    var headers: [UInt8] {
        var name = path
        if kind == .folder, name.last != UInt8(ascii: "/") { name.append(UInt8(ascii: "/")) }
        var records: [UInt8] = []
        var map: [UInt8] = []
        if isSparse {
            map = sparseMap
            records += Self.record("GNU.sparse.major", "1") + Self.record("GNU.sparse.minor", "0")
            records += Self.record("GNU.sparse.name", name) + Self.record("GNU.sparse.realsize", "\(sizeBytes)")
            // What a reader that knows nothing of holes calls what it cannot make sense of.
            name = Array("GNUSparseFile.0/".utf8) + name
        }
        if name.count > Self.nameBytes { records += Self.record("path", name) }
        if linkTarget.count > Self.nameBytes { records += Self.record("linkpath", linkTarget) }
        if userID > Self.largestIdentifier { records += Self.record("uid", "\(userID)") }
        if groupID > Self.largestIdentifier { records += Self.record("gid", "\(groupID)") }
        if modifiedNanoseconds != 0 || !Self.headerTimes.contains(modifiedSeconds) {
            records += Self.record("mtime", timeText)
        }
        for attribute in extendedAttributes {
            records += Self.record(Array("SCHILY.xattr.".utf8) + attribute.name, attribute.value)
        }
        var headers: [UInt8] = []
        if !records.isEmpty {
            let extended = Fields(name: Array("PaxHeaders/entry".utf8), type: "x", sizeBytes: UInt64(records.count))
            headers = extended.bytes + records + Self.padding(after: UInt64(records.count))
        }
        var fields = Fields(name: name, type: typeFlag, sizeBytes: storedBytes + UInt64(map.count))
        fields.mode = mode
        fields.userID = userID > Self.largestIdentifier ? 0 : userID
        fields.groupID = groupID > Self.largestIdentifier ? 0 : groupID
        fields.modifiedSeconds = Self.headerTimes.contains(modifiedSeconds) ? modifiedSeconds : 0
        fields.linkTarget = linkTarget
        fields.device = device
        return headers + fields.bytes + map
    }

    /// The zeros up to the next whole block.
    static func padding(after bytes: UInt64) -> [UInt8] {
        let length = UInt64(TarHeader.length)
        return [UInt8](repeating: 0, count: Int((length - bytes % length) % length))
    }

    private static let nameBytes = 100
    /// Seven octal digits.
    private static let largestIdentifier: UInt32 = 0o7_777_777
    /// Eleven octal digits.
    private static let headerTimes: ClosedRange<Int64> = 0...0o77_777_777_777

    private var isSparse: Bool { kind == .file && storedBytes < sizeBytes }

    /// How many pieces, then where each begins and how long it is; a piece of no length marks the end.
    private var sparseMap: [UInt8] {
        var text = "\(extents.count + 1)\n"
        for extent in extents { text += "\(extent.offset)\n\(extent.length)\n" }
        text += "\(sizeBytes)\n0\n"
        let bytes = Array(text.utf8)
        return bytes + Self.padding(after: UInt64(bytes.count))
    }

    private var typeFlag: Unicode.Scalar {
        switch kind {
        case .file: "0"
        case .hardLink: "1"
        case .symbolicLink: "2"
        case .characterDevice: "3"
        case .blockDevice: "4"
        case .folder: "5"
        case .fifo: "6"
        }
    }

    private var linkTarget: [UInt8] {
        switch kind {
        case .hardLink(let target), .symbolicLink(let target): target
        default: []
        }
    }

    private var device: (major: UInt32, minor: UInt32) {
        switch kind {
        case .characterDevice(let major, let minor), .blockDevice(let major, let minor): (major, minor)
        default: (0, 0)
        }
    }

    /// Seconds with a fraction; before 1970 the fraction counts backwards.
    private var timeText: String {
        var (seconds, nanoseconds) = (modifiedSeconds, modifiedNanoseconds)
        var sign = ""
        if seconds < 0 {
            sign = "-"
            if nanoseconds > 0 { (seconds, nanoseconds) = (seconds + 1, 1_000_000_000 - nanoseconds) }
        }
        let fraction = String(nanoseconds)
        return "\(sign)\(seconds.magnitude)." + String(repeating: "0", count: 9 - fraction.count) + fraction
    }

    /// Its own length in decimal, a space, the key, `=`, the value, a newline.
    private static func record(_ key: [UInt8], _ value: [UInt8]) -> [UInt8] {
        let rest = [UInt8(ascii: " ")] + key + [UInt8(ascii: "=")] + value + [UInt8(ascii: "\n")]
        var length = rest.count
        while length != rest.count + String(length).utf8.count { length = rest.count + String(length).utf8.count }
        return Array(String(length).utf8) + rest
    }

    private static func record(_ key: String, _ value: [UInt8]) -> [UInt8] { record(Array(key.utf8), value) }
    private static func record(_ key: String, _ value: String) -> [UInt8] { record(key, Array(value.utf8)) }

    /// One header's fields; a text that is too long is cut, for a pax record says all of it.
    private struct Fields {
        let name: [UInt8]
        let type: Unicode.Scalar
        let sizeBytes: UInt64
        var mode: UInt16 = 0o644
        var userID: UInt32 = 0
        var groupID: UInt32 = 0
        var modifiedSeconds: Int64 = 0
        var linkTarget: [UInt8] = []
        var device: (major: UInt32, minor: UInt32) = (0, 0)

        var bytes: [UInt8] {
            var header = [UInt8](repeating: 0, count: TarHeader.length)
            func put(_ bytes: some Collection<UInt8>, at offset: Int) {
                for (index, byte) in bytes.enumerated() { header[offset + index] = byte }
            }
            func octal(_ value: UInt64, _ digits: Int, at offset: Int) {
                let text = String(value, radix: 8)
                put((String(repeating: "0", count: max(0, digits - text.count)) + text).utf8, at: offset)
            }
            put(name.prefix(TarEntry.nameBytes), at: 0)
            octal(UInt64(mode), 7, at: 100)
            octal(UInt64(userID), 7, at: 108)
            octal(UInt64(groupID), 7, at: 116)
            if sizeBytes < 1 << 33 {
                octal(sizeBytes, 11, at: 124)
            } else {
                header[124] = 0x80
                for index in 0..<8 { header[135 - index] = UInt8(truncatingIfNeeded: sizeBytes >> UInt64(8 * index)) }
            }
            octal(UInt64(modifiedSeconds), 11, at: 136)
            put(String(type).utf8, at: 156)
            put(linkTarget.prefix(TarEntry.nameBytes), at: 157)
            put("ustar\u{0}00".utf8, at: 257)
            octal(UInt64(device.major), 7, at: 329)
            octal(UInt64(device.minor), 7, at: 337)
            put(repeatElement(UInt8(ascii: " "), count: 8), at: 148)
            octal(header.reduce(0) { $0 + UInt64($1) }, 6, at: 148)
            header[154] = 0
            return header
        }
    }
}
