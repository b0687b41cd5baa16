import Glibc

/// Tells whether what a template was made from is still the same. No protection against somebody who wants to deceive:
/// all of it belongs to the same user.
struct Fingerprint {
    /// Source: the 64-bit FNV-1a hash (draft-eastlake-fnv).
    private var state: UInt64 = 0xcbf2_9ce4_8422_2325

    mutating func add(_ bytes: some Sequence<UInt8>) {
        for byte in bytes { state = (state ^ UInt64(byte)) &* 0x100_0000_01b3 }
        // A mark that no text contains, so that two parts cannot be cut in another place.
        state = (state ^ 0x1ff) &* 0x100_0000_01b3
    }

    mutating func add(_ text: String) { add(text.utf8) }

    /// A large file's length and time of change.
    mutating func add(file path: String) {
        var status = stat()
        // SAFETY: the kernel fills the structure during the call.
        guard unsafe stat(path, &status) == 0 else { return add("missing") }
        add("\(status.st_size) \(status.st_mtim.tv_sec) \(status.st_mtim.tv_nsec)")
    }

    /// A small file's content: building it again changes nothing when it is the same.
    mutating func add(contentOf path: String) {
        guard let content = try? HostFolder.content(path) else { return add("missing") }
        add(content)
    }

    /// Sixteen hexadecimal digits.
    var text: String {
        let digits = String(state, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
