import Glibc
import HostFiles

/// The variables of a program: the image's, then those of files, then those given one by one; the last of a name wins.
enum EnvironmentList {
    private static let maximumFileBytes = 1 << 20

    static func merged(
        _ image: [String], files: [String], settings: [String], hasTerminal: Bool
    ) throws(CommandFailure) -> [String] {
        var result = image
        if hasTerminal, let term = variable("TERM") { set("TERM=\(term)", in: &result) }
        for file in files {
            let bytes: [UInt8]
            do throws(HostFileError) { bytes = try HostPath(file).readWhole(limit: maximumFileBytes) } catch {
                throw CommandFailure("usage.env-file", "\(error)")
            }
            for line in String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isNewline) {
                let text = line.drop(while: \.isWhitespace)
                if text.isEmpty || text.hasPrefix("#") { continue }
                try add(String(text), to: &result)
            }
        }
        for setting in settings { try add(setting, to: &result) }
        return result
    }

    private static func add(_ setting: String, to result: inout [String]) throws(CommandFailure) {
        guard let first = setting.first, first != "=" else {
            throw CommandFailure("usage.env", "\"\(setting)\" sets no variable; write NAME=VALUE")
        }
        if setting.contains("=") {
            set(setting, in: &result)
        } else if let value = variable(setting) {
            set("\(setting)=\(value)", in: &result)
        }
    }

    private static func set(_ setting: String, in result: inout [String]) {
        let name = setting.prefix { $0 != "=" } + "="
        result.removeAll { $0.hasPrefix(name) }
        result.append(setting)
    }

    private static func variable(_ name: String) -> String? {
        // SAFETY: copied at once; this program never changes its environment.
        guard let value = unsafe getenv(name) else { return nil }
        return unsafe String(cString: value)
    }
}

/// Paths of this side.
enum FilePaths {
    /// Seen from the root, for processes that work elsewhere.
    static func absolute(_ path: String) -> String {
        path.hasPrefix("/") ? path : workingDirectory + "/" + path
    }

    static var workingDirectory: String {
        // SAFETY: the library allocates the text, which is freed after it is copied.
        guard let folder = unsafe getcwd(nil, 0) else { return "/" }
        defer { unsafe free(folder) }
        return unsafe String(cString: folder)
    }
}

extension CommandLine {
    /// This process's environment, `NAME=value` each.
    static var environmentList: [String] {
        var list: [String] = []
        // SAFETY: the C library's list ends with a null pointer, and nobody changes it.
        var next = unsafe Glibc.environ
        while let entry = unsafe next.pointee {
            list.append(unsafe String(cString: entry))
            unsafe next += 1
        }
        return list
    }
}
