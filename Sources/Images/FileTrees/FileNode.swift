public import Archives

/// What every file has, whatever its kind.
public struct FileAttributes: Equatable, Sendable {
    /// The twelve permission bits.
    public var mode: UInt16
    public var userID: UInt32
    public var groupID: UInt32
    public var modifiedSeconds: Int64
    /// Below 1,000,000,000.
    public var modifiedNanoseconds: UInt32
    public var extendedAttributes: [TarEntry.ExtendedAttribute]

    public init(
        mode: UInt16, userID: UInt32 = 0, groupID: UInt32 = 0, modifiedSeconds: Int64 = 0,
        modifiedNanoseconds: UInt32 = 0, extendedAttributes: [TarEntry.ExtendedAttribute] = []
    ) {
        self.mode = mode & 0o7777
        self.userID = userID
        self.groupID = groupID
        self.modifiedSeconds = modifiedSeconds
        self.modifiedNanoseconds = min(modifiedNanoseconds, 999_999_999)
        self.extendedAttributes = extendedAttributes
    }
}

/// A file of any kind, without its names: several names may lead to one node (hard links).
public struct FileNode: Sendable {
    public enum Kind: Sendable {
        case folder([FileName: FolderEntry])
        case file(FileContent)
        /// A regular file whose content lies in a segment of the disk.
        case packedFile(PackedContent)
        /// 1 to 4095 bytes.
        case symbolicLink([UInt8])
        case characterDevice(major: UInt32, minor: UInt32)
        case blockDevice(major: UInt32, minor: UInt32)
        case fifo
    }

    public var attributes: FileAttributes
    public package(set) var kind: Kind

    /// A regular file's content, once it lies in a segment.
    public var packedContent: PackedContent? {
        if case .packedFile(let content) = kind { content } else { nil }
    }

    public var isFolder: Bool {
        if case .folder = kind { true } else { false }
    }
}

/// A name's meaning in a folder.
public struct FolderEntry: Sendable {
    public let node: FileTree.NodeID
    /// The newest layer that wrote this name; whiteouts hide only what lies in layers below their own.
    let layer: Int
}
