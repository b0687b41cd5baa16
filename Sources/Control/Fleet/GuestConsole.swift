import HostFiles

/// What a guest's console has said, for who has to explain its end.
struct GuestConsole {
    private static let mostBytes = 4 << 20
    private static let tailBytes = 2000
    /// A panic's own line stands before its registers, calls and modules.
    private static let panicTailBytes = 64 << 10

    let path: HostPath

    /// What the kernel said as it gave up, if it did. It then resets the machine as it would be asked to, so that only
    /// the console tells the two apart.
    var panic: String? {
        guard let bytes = try? path.readWhole(limit: Self.mostBytes) else { return nil }
        return Self.panic(in: String(decoding: bytes.suffix(Self.panicTailBytes), as: UTF8.self))
    }

    /// The reason in the last line that tells of a panic: the kernel's own, which begins with its time or with it.
    ///
    /// Trust: a program may write such a line to the console; all it gains is another reason for its machine's end.
    static func panic(in console: String) -> String? {
        let words = "Kernel panic - not syncing: "
        for line in console.split(whereSeparator: \.isNewline).reversed() {
            var rest = line[...]
            while rest.hasPrefix("["), let end = rest.firstIndex(of: "]") {
                rest = rest[rest.index(after: end)...].drop(while: { $0 == " " })
            }
            if rest.hasPrefix(words) { return String(rest.dropFirst(words.count)) }
        }
        return nil
    }

    /// The end of what it said, for an error message; empty when it said nothing.
    var tail: String {
        guard let bytes = try? path.readWhole(limit: Self.mostBytes), !bytes.isEmpty else { return "" }
        let text = String(decoding: bytes.suffix(Self.tailBytes), as: UTF8.self)
        let lines = text.split(whereSeparator: \.isNewline).suffix(20)
        return "; its console ends with:\n" + lines.map { "    \($0)" }.joined(separator: "\n")
    }
}
