import Glibc
import HostFiles

/// The variables of a program: the image's, then those of files, then those given one by one; the last of a name wins.
enum EnvironmentList {
    private static let maximumFileBytes = 1 << 20

    static func merged(
        _ image: [String], files: [String], settings: [String], hasTerminal: Bool
    ) throws(CommandFailure) -> [String] {
        var result = image
        if hasTerminal, let term = try ForeignText.variable("TERM") { set("TERM=\(term)", in: &result) }
        for file in files {
            let bytes: [UInt8]
            do throws(HostFileError) { bytes = try HostPath(file).readWhole(limit: maximumFileBytes) } catch {
                throw CommandFailure(
                    "usage.env-file",
                    error.reason.number == EFBIG
                        ? "the file of variables \(file) is larger than \(maximumFileBytes >> 20) MiB" : "\(error)")
            }
            guard let content = String(validating: bytes, as: UTF8.self) else {
                throw CommandFailure("usage.not-utf8", "the file of variables \(file) is not UTF-8")
            }
            for (number, line) in lines(of: content) {
                do throws(CommandFailure) { try add(line, to: &result) } catch {
                    throw CommandFailure(error.code, "\(file), line \(number): \(error.message)")
                }
            }
        }
        for setting in settings { try add(setting, to: &result) }
        return result
    }

    /// Those that set something, with their numbers.
    private static func lines(of content: String) -> [(Int, String)] {
        content.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated().compactMap {
            let text = $0.element.drop(while: \.isWhitespace)
            return text.isEmpty || text.hasPrefix("#") ? nil : ($0.offset + 1, String(text))
        }
    }

    private static func add(_ setting: String, to result: inout [String]) throws(CommandFailure) {
        guard let first = setting.first, first != "=" else {
            throw CommandFailure("usage.env", "\"\(setting)\" sets no variable; write NAME=VALUE")
        }
        if setting.contains("=") {
            set(setting, in: &result)
        } else if let value = try ForeignText.variable(setting) {
            set("\(setting)=\(value)", in: &result)
        }
    }

    private static func set(_ setting: String, in result: inout [String]) {
        let name = setting.prefix { $0 != "=" } + "="
        result.removeAll { $0.hasPrefix(name) }
        result.append(setting)
    }
}

/// Paths of this side.
enum FilePaths {
    /// Seen from the root, for processes that work elsewhere.
    /// - Throws: when the path is relative to a folder that is gone.
    static func absolute(_ path: String) throws(CommandFailure) -> String {
        path.hasPrefix("/") ? path : try workingFolder() + "/" + path
    }

    /// - Throws: when it has been removed, or has a name that is no text.
    static func workingFolder() throws(CommandFailure) -> String {
        let folder: HostPath
        do throws(HostFileError) { folder = try HostPath.workingFolder() } catch {
            throw CommandFailure(
                "usage.working-folder",
                error.isMissing
                    ? "the folder that this command works in has been removed; change to one that is there, or give paths from the root"
                    : "the folder that this command works in cannot be told: \(error.reason)")
        }
        guard let text = String(validating: folder.bytes, as: UTF8.self) else {
            throw CommandFailure(
                "usage.working-folder",
                "the path of the folder that this command works in, \(folder), is not UTF-8; change to another")
        }
        return text
    }
}
