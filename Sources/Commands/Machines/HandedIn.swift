import AgentClient
import Fleet
import Glibc
import HostFiles

/// What `--secret` and `--file` mean, read into memory. Nothing of it is ever written down.
enum HandedIn {
    static let secretPermissions: UInt16 = 0o444
    static let filePermissions: UInt16 = 0o644

    static func read(secrets: [String], files: [String]) throws -> [HandedInFile] {
        var result: [HandedInFile] = []
        for text in secrets { result.append(try secret(text)) }
        for text in files { result.append(try file(text)) }
        let total = result.reduce(0) { $0 + $1.contents.count }
        guard total <= HandedInFiles.mostBytes else { throw tooLarge() }
        if let again = Set(result.map(\.path)).first(where: { path in result.count { $0.path == path } > 1 }) {
            throw CommandFailure("usage.file", "\(again) is handed in twice; name each place once")
        }
        return result
    }

    /// `NAME=PATH`, or `NAME` for a variable of that name. A value is no argument: everybody on this computer can read a
    /// command's arguments.
    private static func secret(_ text: String) throws -> HandedInFile {
        let halves = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let name = halves[0]
        guard !name.isEmpty, name.utf8.count <= 255, !name.contains("/"), name != ".", name != ".." else {
            throw CommandFailure(
                "usage.secret", "\"\(name)\" cannot name a secret; it is the name of a file (--secret)")
        }
        let contents: [UInt8]
        if halves.count == 2 {
            contents = try bytes(of: halves[1], "--secret")
        } else {
            guard let value = try ForeignText.variable(name) else {
                throw CommandFailure(
                    "usage.secret",
                    "there is no variable \(name) to take a secret from; write --secret \(name)=PATH for a file's content"
                )
            }
            contents = Array(value.utf8)
        }
        return HandedInFile(
            path: "\(ContainerSettings.secretsFolder)/\(name)", permissions: secretPermissions, contents: contents)
    }

    /// `PATH:GUEST[:MODE[,USER[:GROUP]]]`; the guest's path is the last part that begins with a slash.
    static func file(_ text: String) throws -> HandedInFile {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard parts.count >= 2, !parts[0].isEmpty, parts[1].hasPrefix("/"), parts.count <= 4 else {
            throw unreadable(text)
        }
        var file = HandedInFile(
            path: try GuestPath.checked(parts[1], "--file"), permissions: filePermissions, contents: [])
        if parts.count > 2 {
            let words = parts[2].split(separator: ",", omittingEmptySubsequences: false)
            guard words.count <= 2, let mode = UInt16(words[0], radix: 8), mode <= 0o7777 else {
                throw unreadable(text)
            }
            file.permissions = mode
            if words.count == 2 {
                guard let user = UInt32(words[1]), user < .max else { throw unreadable(text) }
                file.userID = user
            }
            if parts.count == 4 {
                guard words.count == 2, let group = UInt32(parts[3]), group < .max else { throw unreadable(text) }
                file.groupID = group
            }
        }
        file.contents = try bytes(of: parts[0], "--file")
        return file
    }

    private static func bytes(of path: String, _ option: String) throws -> [UInt8] {
        do throws(HostFileError) { return try HostPath(path).readWhole(limit: HandedInFiles.mostBytes) } catch {
            if error.reason.number == EFBIG { throw tooLarge() }
            throw CommandFailure("usage.file", "\(error) (\(option))")
        }
    }

    private static func tooLarge() -> CommandFailure {
        CommandFailure(
            "usage.file",
            "what is handed in has more than \(HandedInFiles.mostBytes >> 20) MiB; put it on a volume: swiftlet cp")
    }

    private static func unreadable(_ text: String) -> CommandFailure {
        CommandFailure(
            "usage.file",
            "\"\(text)\" is no file to hand in; write PATH:/GUEST/PATH, with :0600,1000:1000 for mode and owner in numbers (--file)"
        )
    }
}
