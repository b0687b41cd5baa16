/// One member of a tar, with everything that its headers say about it.
///
/// All of it comes from whoever wrote the archive. The path is as written: it may be absolute, hold `..` or be empty; whoever
/// builds a tree of it (`FileTrees`) decides what that means.
public struct TarEntry: Equatable, Sendable {
    public enum Kind: Equatable, Sendable {
        case file
        /// Another name for the file at that path in the same archive, or below it.
        case hardLink(target: [UInt8])
        case symbolicLink(target: [UInt8])
        case characterDevice(major: UInt32, minor: UInt32)
        case blockDevice(major: UInt32, minor: UInt32)
        case folder
        case fifo
    }

    public var path: [UInt8] = []
    public var kind = Kind.file
    /// The twelve permission bits.
    public var mode: UInt16 = 0
    public var userID: UInt32 = 0
    public var groupID: UInt32 = 0
    public internal(set) var userName: [UInt8] = []
    public internal(set) var groupName: [UInt8] = []
    public var modifiedSeconds: Int64 = 0
    public var modifiedNanoseconds: UInt32 = 0
    /// Length of the file as a program sees it, holes included.
    public var sizeBytes: UInt64 = 0
    /// Names as the kernel has them (`security.capability`), in the archive's order.
    public var extendedAttributes: [ExtendedAttribute] = []
    /// Where the stored bytes belong in the file: ascending, without overlap, within `sizeBytes`. What is not covered is a
    /// hole. The archive holds these pieces one after the other.
    public var extents: [Extent] = []
    /// Where the stored bytes begin in the (uncompressed) archive.
    public internal(set) var contentOffset: UInt64 = 0
    /// Where the entry's first header begins, for errors.
    public internal(set) var headerOffset: UInt64 = 0

    public init() {}

    public struct ExtendedAttribute: Equatable, Sendable {
        public let name: [UInt8]
        public let value: [UInt8]

        public init(name: [UInt8], value: [UInt8]) {
            self.name = name
            self.value = value
        }
    }

    /// A piece of a file.
    public struct Extent: Equatable, Sendable {
        public let offset: UInt64
        public let length: UInt64

        public init(offset: UInt64, length: UInt64) {
            self.offset = offset
            self.length = length
        }
    }

    /// How many bytes the archive holds for it.
    public var storedBytes: UInt64 { extents.reduce(0) { $0 &+ $1.length } }
}
