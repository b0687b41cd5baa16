/// What a request asks for; the raw values are the protocol's. Operations that are not here are answered with ENOSYS.
/// Source: Linux, include/uapi/linux/fuse.h.
enum FUSEOperation: UInt32 {
    case lookup = 1
    case forget = 2
    case getAttributes = 3
    case setAttributes = 4
    case readLink = 5
    case symbolicLink = 6
    case makeNode = 8
    case makeDirectory = 9
    case unlink = 10
    case removeDirectory = 11
    case rename = 12
    case link = 13
    case open = 14
    case read = 15
    case write = 16
    case statFileSystem = 17
    case release = 18
    case synchronize = 20
    case setExtendedAttribute = 21
    case getExtendedAttribute = 22
    case listExtendedAttributes = 23
    case removeExtendedAttribute = 24
    case flush = 25
    case initialize = 26
    case openDirectory = 27
    case readDirectory = 28
    case releaseDirectory = 29
    case synchronizeDirectory = 30
    case create = 35
    case interrupt = 36
    case destroy = 38
    case batchForget = 42
    case allocate = 43
    case readDirectoryPlus = 44
    case renameWithFlags = 45
    case seek = 46
    case copyRange = 47

    /// Whether it changes the folder, whatever its arguments are. What opens files decides by their flags.
    var changesFolder: Bool {
        switch self {
        case .setAttributes, .symbolicLink, .makeNode, .makeDirectory, .unlink, .removeDirectory, .rename, .link,
            .write,
            .setExtendedAttribute, .removeExtendedAttribute, .create, .allocate, .renameWithFlags, .copyRange:
            true
        default: false
        }
    }
}
