import AgentProtocol
import LinuxCalls

extension GuestSystem {
    private static let defaultPath: ByteString = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    /// What `Start` asks for, as a child to be started; its descriptors are still to be filled in.
    func command(for start: Start) throws(Failure) -> ChildCommand {
        let accounts = Accounts(
            passwd: contents("/etc/passwd", maximumBytes: Accounts.maximumBytes) ?? [],
            group: contents("/etc/group", maximumBytes: Accounts.maximumBytes) ?? [])
        let account = try accounts.account(start.user, extra: start.supplementaryGroups)

        var environment = start.environment
        func value(_ name: ByteString) -> ByteString? {
            environment.first { $0.hasPrefix(name + "=") }.map { ByteString($0.bytes[(name.count + 1)...]) }
        }
        func add(_ name: ByteString, _ text: ByteString) {
            if value(name) == nil { environment.append(name + "=" + text) }
        }
        add("PATH", Self.defaultPath)
        add("HOME", account.home)
        if !hostName.isEmpty { add("HOSTNAME", hostName) }
        if case .terminal = start.streams { add("TERM", "xterm") }

        let name = start.arguments[0]
        var candidates: [[UInt8]] = []
        if name.bytes.contains(UInt8(ascii: "/")) {
            candidates = [name.bytes]
        } else {
            for folder in (value("PATH") ?? Self.defaultPath).split(UInt8(ascii: ":")) {
                // An empty entry is the working directory, as shells have it.
                let path = (folder.isEmpty ? "." : folder) + "/" + name
                if path.count <= Limits.pathBytes { candidates.append(path.bytes) }
            }
        }
        var command = ChildCommand(
            candidates: candidates, arguments: start.arguments.map { $0.bytes },
            environment: environment.map { $0.bytes }, standardDescriptors: (0, 0, 0))
        if !start.workingDirectory.isEmpty {
            command.workingDirectory = start.workingDirectory.bytes
            makeDirectories(start.workingDirectory, account)
        }
        if !commandsRootPath.isEmpty { command.root = commandsRoot?.number }
        if role != .tool || !start.user.isEmpty {
            command.identity = ChildCommand.Identity(
                userID: account.userID, groupID: account.groupID,
                supplementaryGroupIDs: account.supplementaryGroupIDs)
        }
        return command
    }

    /// Makes a working directory that is missing. What goes wrong shows when the command enters it.
    private func makeDirectories(_ path: ByteString, _ account: Account) {
        if (try? open(path, [.path, .directory])) != nil { return }
        var folder: ByteString = "/"
        for part in path.split(UInt8(ascii: "/")) where part.isFileName {
            if let parent = try? open(folder, [.path, .directory]) {
                try? FileTree.makeDirectory(part.bytes, in: parent.number, mode: 0o755)
            }
            folder += part + "/"
        }
    }
}
