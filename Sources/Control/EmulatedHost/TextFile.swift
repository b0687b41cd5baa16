import LinuxCalls

/// Small files as text: the kernel's own, and this module's records.
enum TextFile {
    /// The file's text, at most `limitBytes` of it; nil when it cannot be read.
    static func read(_ path: String, limitBytes: Int = 1 << 20) -> String? {
        guard let file = try? open(path, .readOnly) else { return nil }
        var bytes: [UInt8] = []
        while bytes.count < limitBytes {
            guard let count = try? LinuxCalls.read(file.number, appendingTo: &bytes, maximumBytes: 4096) else {
                return nil
            }
            if count == 0 { break }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
