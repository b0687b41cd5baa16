import LinuxCalls

/// A file that one process has locked for as long as it lives, and in which its number is.
enum ProcessFile {
    /// - Throws: EAGAIN when another process has it.
    static func take(_ path: String) throws(LinuxError) -> FileDescriptor {
        let file = try open(path, [.writeOnly, .create], mode: 0o600)
        try lockFile(file.number)
        try writeAll(file.number, "\(Children.own)\n")
        return file
    }

    /// Who has it; nil when nobody has.
    static func holder(_ path: String) -> Int32? {
        guard let file = try? open(path, .readOnly) else { return nil }
        do throws(LinuxError) { try lockFile(file.number, isShared: true) } catch {
            guard error == .tryAgain else { return nil }
            guard let bytes = try? FileTree.contents(file.number, maximumBytes: 64) else { return nil }
            return number(bytes)
        }
        return nil
    }

    /// The digits that text begins with, as a process's number; nil for none, and for what no process has.
    static func number(_ text: [UInt8]) -> Int32? {
        var number: Int32 = 0
        for digit in text {
            guard (0x30...0x39).contains(digit), number < 100_000_000 else { break }
            number = number * 10 + Int32(digit - 0x30)
        }
        return number > 1 ? number : nil
    }
}
