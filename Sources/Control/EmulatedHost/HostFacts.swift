import Glibc

/// What this machine has.
enum HostFacts {
    /// From `/proc/meminfo`; zeroes when it cannot be read.
    static func memory(
        _ text: String? = TextFile.read("/proc/meminfo")
    ) -> (totalMebibytes: Int, availableMebibytes: Int) {
        func value(_ name: String) -> Int {
            for line in (text ?? "").split(separator: "\n") where line.hasPrefix(name + ":") {
                let words = line.split(separator: " ")
                return words.count > 1 ? (Int(words[1]) ?? 0) / 1024 : 0
            }
            return 0
        }
        return (value("MemTotal"), value("MemAvailable"))
    }

    static var isRoot: Bool { geteuid() == 0 }

    /// The program's full path, as a shell would find it.
    static func program(_ name: String, path: String? = environment("PATH")) -> String? {
        if name.contains("/") { return unsafe access(name, X_OK) == 0 ? name : nil }
        for folder in (path ?? "/usr/local/bin:/usr/bin:/bin").split(separator: ":") {
            let candidate = "\(folder)/\(name)"
            if unsafe access(candidate, X_OK) == 0 { return candidate }
        }
        return nil
    }

    /// The path without symbolic links; as it is where there is no such file.
    static func resolved(_ path: String) -> String {
        guard let resolved = unsafe realpath(path, nil) else { return path }
        defer { unsafe free(resolved) }
        // SAFETY: the C library's text ends with a zero byte.
        return unsafe String(cString: resolved)
    }

    static func environment(_ name: String) -> String? {
        guard let value = unsafe getenv(name) else { return nil }
        // SAFETY: the C library's text ends with a zero byte; nothing here changes the environment.
        return unsafe String(cString: value)
    }
}
