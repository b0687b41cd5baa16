import WireFormats

/// What goes over a connection of kind `files`, both ways.
///
/// Into the guest: the host sends `copyIn`, then for each file an `entry` and its `data`, then `end`; the agent answers
/// `finished`, or `failure` at any time. Out of it: the host sends `copyOut`; the agent sends the same stream or `failure`.
public enum TransferMessage: FramedMessage {
    case copyIn(CopyIn)
    /// The file or directory at this path, with all that lies in it. A symbolic link is followed only if it is this path.
    case copyOut(path: ByteString)
    case entry(TransferEntry)
    /// The next contents of the regular file that the last `entry` named.
    case data([UInt8])
    /// Nothing follows.
    case end
    case finished(entries: UInt64, bytes: UInt64)
    case failure(Failure)

    public static var payloadLimit: Int { Limits.transferPayloadBytes }

    public var type: UInt16 {
        switch self {
        case .copyIn: 65
        case .copyOut: 66
        case .entry: 67
        case .data: 68
        case .end: 69
        case .finished: 70
        case .failure: 71
        }
    }

    public func encodePayload(into writer: inout LittleEndianWriter) {
        switch self {
        case .copyIn(let request):
            writer.write(request.destination)
            writer.write(request.name)
            writer.write(UInt8(request.keepsOwner ? 1 : 0))
        case .copyOut(let path): writer.write(path)
        case .entry(let entry): entry.encode(into: &writer)
        case .data(let bytes): writer.writeBytes(bytes)
        case .end: break
        case .finished(let entries, let bytes):
            writer.write(entries)
            writer.write(bytes)
        case .failure(let failure): failure.encode(into: &writer)
        }
    }

    public init(type: UInt16, payload: [UInt8]) throws(ProtocolError) {
        var reader = MessageReader(payload)
        switch type {
        case 65:
            let destination = reader.absolutePath()
            let name = reader.string(.name, atMost: Limits.nameBytes)
            guard name.isEmpty || name.isFileName else { throw .outOfBounds(.name) }
            self = .copyIn(CopyIn(destination: destination, name: name, keepsOwner: reader.boolean()))
        case 66: self = .copyOut(path: reader.absolutePath())
        case 67: self = .entry(TransferEntry(from: &reader))
        case 68: self = .data(reader.rest(.data, atMost: Limits.transferDataBytes))
        case 69: self = .end
        case 70: self = .finished(entries: reader.integer(), bytes: reader.integer())
        case 71: self = .failure(Failure(from: &reader))
        default: throw .unknownMessage(type)
        }
        try reader.finish()
    }
}

/// Where files go.
public struct CopyIn: Equatable, Sendable {
    /// Absolute. If it is a directory and `name` is not empty, the files go to `destination/name`, otherwise to
    /// `destination` itself, whose parent must exist.
    public var destination: ByteString
    /// The name of what is copied, or empty.
    public var name: ByteString
    /// Whether user and group are taken from the entries; otherwise they are those of the receiving process.
    public var keepsOwner: Bool

    public init(destination: ByteString, name: ByteString = "", keepsOwner: Bool = false) {
        self.destination = destination
        self.name = name
        self.keepsOwner = keepsOwner
    }
}

/// One file, directory or link on its way.
public struct TransferEntry: Equatable, Sendable {
    public enum Kind: Equatable, Sendable {
        /// How long the contents were when the sender looked; they may turn out otherwise.
        case regular(sizeBytes: UInt64)
        case directory
        /// Kept as it is, never followed by the receiver.
        case symbolicLink(target: ByteString)
    }

    public var kind: Kind
    /// Relative to what is copied, and empty for that itself. No part is empty, `.` or `..`.
    public var path: ByteString
    /// Permission bits: the lower 12 of `st_mode`.
    public var permissions: UInt16
    public var userID: UInt32
    public var groupID: UInt32
    /// Since 1970; two's complement.
    public var modifiedNanoseconds: UInt64

    public init(
        _ kind: Kind, path: ByteString, permissions: UInt16, userID: UInt32 = 0, groupID: UInt32 = 0,
        modifiedNanoseconds: UInt64 = 0
    ) {
        self.kind = kind
        self.path = path
        self.permissions = permissions
        self.userID = userID
        self.groupID = groupID
        self.modifiedNanoseconds = modifiedNanoseconds
    }

    func encode(into writer: inout LittleEndianWriter) {
        switch kind {
        case .regular(let size):
            writer.write(UInt8(1))
            writer.write(size)
        case .directory: writer.write(UInt8(2))
        case .symbolicLink(let target):
            writer.write(UInt8(3))
            writer.write(target)
        }
        writer.write(path)
        writer.write(permissions)
        writer.write(userID)
        writer.write(groupID)
        writer.write(modifiedNanoseconds)
    }

    init(from reader: inout MessageReader) {
        switch reader.integer(UInt8.self) {
        case 1: kind = .regular(sizeBytes: reader.integer())
        case 2: kind = .directory
        case 3: kind = .symbolicLink(target: reader.nonEmptyString(.linkTarget, atMost: Limits.pathBytes))
        default:
            kind = .directory
            reader.fail(.outOfBounds(.entryType))
        }
        path = reader.string(.entryPath, atMost: Limits.pathBytes)
        if !path.isEmpty, !path.split(UInt8(ascii: "/")).allSatisfy({ $0.isFileName }) {
            reader.fail(.outOfBounds(.entryPath))
        }
        permissions = reader.integer()
        if permissions > 0o7777 { reader.fail(.outOfBounds(.entryType)) }
        userID = reader.integer()
        groupID = reader.integer()
        modifiedNanoseconds = reader.integer()
    }
}

extension ByteString {
    /// Whether it can name something inside a directory: not empty, `.` or `..`, no slash, not too long.
    public var isFileName: Bool {
        !isEmpty && count <= Limits.nameBytes && !bytes.contains(UInt8(ascii: "/")) && self != "." && self != ".."
    }
}
