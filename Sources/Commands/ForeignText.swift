import Glibc

/// Bytes that others give us and that must be text. What is not is refused: put right without a word, it would name
/// another file, or be another value.
enum ForeignText {
    /// Checks what this process was started with and is used by every command.
    static func checkProcess() throws(CommandFailure) {
        for index in 1..<max(1, Int(CommandLine.argc)) {
            // SAFETY: the list has `argc` elements, each a text that ends with a zero byte, and nobody changes it.
            guard let argument = unsafe CommandLine.unsafeArgv[index] else { continue }
            guard unsafe String(validatingCString: argument) == nil else { continue }
            throw CommandFailure(
                "usage.not-utf8", "argument \(index), \"\(unsafe String(cString: argument))\", is not UTF-8")
        }
        for name in [
            "SWIFTLET_HOME", "SWIFTLET_RUNTIME", "SWIFTLET_LIBEXEC", "HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR",
        ] {
            _ = try variable(name)
        }
    }

    /// The value of one of this process's variables.
    static func variable(_ name: String) throws(CommandFailure) -> String? {
        // SAFETY: copied at once; this program never changes its environment.
        guard let value = unsafe getenv(name) else { return nil }
        guard let text = unsafe String(validatingCString: value) else {
            throw CommandFailure("usage.not-utf8", "the value of the variable \(name) is not UTF-8")
        }
        return text
    }

    /// This process's environment, `NAME=value` each.
    static func environment() throws(CommandFailure) -> [String] {
        var list: [String] = []
        // SAFETY: the C library's list ends with a null pointer, and nobody changes it.
        var next = unsafe Glibc.environ
        while let entry = unsafe next.pointee {
            guard let text = unsafe String(validatingCString: entry) else {
                let name = unsafe String(cString: entry).prefix { $0 != "=" }
                throw CommandFailure(
                    "usage.not-utf8",
                    "the variable \(name) is not UTF-8 and cannot be passed on; run this with `env -u \(name)`")
            }
            list.append(text)
            unsafe next += 1
        }
        return list
    }
}
