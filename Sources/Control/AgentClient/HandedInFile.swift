import AgentProtocol
import LinuxCalls

/// A file that is made in a guest from this side's memory.
public struct HandedInFile: Codable, Equatable, Sendable {
    /// Absolute, without `.` and `..`.
    public var path: String
    public var permissions: UInt16
    public var userID: UInt32
    public var groupID: UInt32
    public var contents: [UInt8]

    public init(path: String, permissions: UInt16, userID: UInt32 = 0, groupID: UInt32 = 0, contents: [UInt8]) {
        self.path = path
        self.permissions = permissions
        self.userID = userID
        self.groupID = groupID
        self.contents = contents
    }
}

extension FileCopy {
    private static let folderPermissions: UInt16 = 0o755

    /// Makes files in a guest, and the folders to them where they are missing.
    ///
    /// They are one copy: the receiver makes each within folders that it opened itself, through no link, so that an
    /// image cannot lead them to another place.
    public static func handIn(
        _ files: [HandedInFile], to endpoint: any AgentEndpoint, patience: Duration = usualPatience
    ) throws(AgentClientError) {
        let channel = try TransferChannel(endpoint, patience: patience, signals: nil)
        try channel.send(.copyIn(CopyIn(destination: "/", keepsOwner: true)))
        for message in messages(files) { try channel.send(message) }
        switch try channel.receive() {
        case .finished: return
        case .failure(let failure): throw AgentClientError(failure)
        default: throw AgentClientError(.gone, "the machine closed the connection before the files were handed in")
        }
    }

    /// The files as a tree: each folder once, before what is in it.
    static func messages(_ files: [HandedInFile]) -> [TransferMessage] {
        let now = Clock.realTime.nanoseconds()
        func folder(_ path: ByteString) -> TransferMessage {
            .entry(TransferEntry(.directory, path: path, permissions: folderPermissions, modifiedNanoseconds: now))
        }
        var messages = [folder("")]
        var current: [Substring] = []
        let sorted = files.map { (parts: $0.path.split(separator: "/"), file: $0) }
            .sorted { $0.parts.lexicographicallyPrecedes($1.parts) }
        for (parts, file) in sorted {
            let folders = parts.dropLast()
            let common = zip(folders, current).prefix { $0 == $1 }.count
            for depth in common..<max(common, folders.count) {
                messages.append(folder(ByteString(folders.prefix(depth + 1).joined(separator: "/"))))
            }
            current = Array(folders)
            messages.append(
                .entry(
                    TransferEntry(
                        .regular(sizeBytes: UInt64(file.contents.count)),
                        path: ByteString(parts.joined(separator: "/")),
                        permissions: file.permissions, userID: file.userID, groupID: file.groupID,
                        modifiedNanoseconds: now)))
            var rest = file.contents[...]
            while !rest.isEmpty {
                messages.append(.data(Array(rest.prefix(Limits.transferDataBytes))))
                rest = rest.dropFirst(Limits.transferDataBytes)
            }
        }
        return messages + [.end]
    }
}
