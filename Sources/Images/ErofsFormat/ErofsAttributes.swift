import Archives

/// A file's extended attributes as they follow its inode.
///
/// Source: Linux fs/erofs/erofs_fs.h, `struct erofs_xattr_ibody_header`, `struct erofs_xattr_entry`,
/// `EROFS_XATTR_INDEX_*`.
struct ErofsAttributes {
    /// A multiple of four bytes; empty where there are none.
    let encoded: [UInt8]

    /// Attributes of a kind that the kernel's EROFS cannot show are left out; the rest is sorted, so that the order in which
    /// they came does not matter.
    /// - Returns: nil when there are more than fit: 255 bytes a name, 65,535 a value, 262,148 in all.
    init?(_ attributes: [TarEntry.ExtendedAttribute]) {
        var known: [(index: UInt8, name: [UInt8], value: [UInt8])] = []
        for attribute in attributes {
            guard let (index, length) = Self.prefix(of: attribute.name) else { continue }
            known.append((index, Array(attribute.name.dropFirst(length)), attribute.value))
        }
        known.sort {
            $0.index == $1.index ? $0.name.lexicographicallyPrecedes($1.name) : $0.index < $1.index
        }
        guard !known.isEmpty else {
            encoded = []
            return
        }
        var bytes = [UInt8](repeating: 0, count: ErofsLayout.attributeHeaderBytes)
        for (index, name, value) in known {
            guard let nameLength = UInt8(exactly: name.count), let valueLength = UInt16(exactly: value.count) else {
                return nil
            }
            bytes.append(nameLength)
            bytes.append(index)
            bytes.append(littleEndian: valueLength)
            bytes += name
            bytes += value
            bytes.pad(to: 4)
        }
        guard UInt16(exactly: Self.count(bytes.count)) != nil else { return nil }
        encoded = bytes
    }

    /// What `i_xattr_icount` says about so many bytes.
    static func count(_ bytes: Int) -> Int {
        bytes == 0 ? 0 : (bytes - ErofsLayout.attributeHeaderBytes) / 4 + 1
    }

    private static let prefixes: [(text: String, index: UInt8, isWhole: Bool)] = [
        ("user.", 1, false), ("system.posix_acl_access", 2, true), ("system.posix_acl_default", 3, true),
        ("trusted.", 4, false), ("security.", 6, false),
    ]

    private static func prefix(of name: [UInt8]) -> (index: UInt8, length: Int)? {
        for (text, index, isWhole) in prefixes where name.starts(with: text.utf8) {
            let length = text.utf8.count
            if isWhole ? name.count == length : name.count > length { return (index, length) }
        }
        return nil
    }
}
