public import AgentProtocol
import LinuxCalls

/// What the kernel and other programs say of themselves in small files.
public enum SystemFiles {
    /// The file's text without its last line's end; empty where there is none, or more than that.
    public static func text(_ path: ByteString, maximumBytes: Int = 64 << 10) -> ByteString {
        guard let file = try? FileTree.open(path.bytes, .readOnly),
            var text = try? FileTree.contents(file.number, maximumBytes: maximumBytes)
        else { return "" }
        if text.last == 0x0a { text.removeLast() }
        return ByteString(text)
    }
}

extension ByteString {
    public func contains(_ part: ByteString) -> Bool {
        guard let first = part.bytes.first, part.count <= count else { return part.isEmpty }
        for start in 0...(count - part.count) where bytes[start] == first {
            if bytes[start...].starts(with: part.bytes) { return true }
        }
        return false
    }

    /// The words between blanks.
    public var words: [ByteString] {
        bytes.split { $0 == 0x20 || $0 == 0x09 || $0 == 0x0a }.map { ByteString($0) }
    }
}
