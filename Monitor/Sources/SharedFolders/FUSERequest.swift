/// The first 40 bytes of every request. Trust: the guest's word.
/// Source: Linux, include/uapi/linux/fuse.h, `struct fuse_in_header`.
struct FUSERequest {
    static let headerBytes = 40

    var operation: UInt32
    var unique: UInt64
    var node: UInt64
    /// Of the guest's process.
    var user: UInt32
    var group: UInt32
    /// Of the whole request in the server's room, this header included.
    var lengthBytes: Int

    /// Where what follows the header begins.
    var body: Int { Self.headerBytes }

    /// Whether so many bytes follow the header.
    func hasBody(_ count: Int) -> Bool { lengthBytes >= Self.headerBytes + count }
}

/// A name in the request: one component of a path, with a zero behind it.
struct RequestName {
    var offset: Int
    var length: Int

    /// Where what follows it begins.
    var end: Int { offset + length + 1 }
}
