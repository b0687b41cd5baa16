/// JSON as `JSONValue` writes it, looked up as it lies there: a tree of values takes many times the memory of its text.
struct WrittenJSON {
    /// What is in here was written by this process.
    let bytes: [UInt8]

    /// The kind of a value, by its first byte.
    func kind(_ start: Int) -> UInt8 { bytes[start] }

    /// Where a value ends that begins at `start`: its first byte that is not its own any more.
    func end(of start: Int) -> Int {
        var position = start
        var depth = 0
        repeat {
            switch bytes[position] {
            case UInt8(ascii: "\""): position = endOfText(position)
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                position += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth -= 1
                position += 1
            default: position += 1
            }
            // Numbers and words end where something else stands.
        } while depth > 0 || (position < bytes.count && isPlain(bytes[position]) && isPlain(bytes[start]))
        return position
    }

    private func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: ","), UInt8(ascii: ":"), UInt8(ascii: "]"), UInt8(ascii: "}"), UInt8(ascii: "\""),
            UInt8(ascii: "{"), UInt8(ascii: "["):
            false
        default: true
        }
    }

    private func endOfText(_ start: Int) -> Int {
        var position = start + 1
        while bytes[position] != UInt8(ascii: "\"") { position += bytes[position] == UInt8(ascii: "\\") ? 2 : 1 }
        return position + 1
    }

    /// The text that begins at `start`, without its quotes and escapes.
    func text(_ start: Int) -> [UInt8] {
        var text: [UInt8] = []
        var position = start + 1
        while bytes[position] != UInt8(ascii: "\"") {
            var byte = bytes[position]
            if byte == UInt8(ascii: "\\") {
                position += 1
                switch bytes[position] {
                case UInt8(ascii: "b"): byte = 0x08
                case UInt8(ascii: "f"): byte = 0x0c
                case UInt8(ascii: "n"): byte = 0x0a
                case UInt8(ascii: "r"): byte = 0x0d
                case UInt8(ascii: "t"): byte = 0x09
                case UInt8(ascii: "u"):
                    // Only what is below a space is written so.
                    let digit = bytes[position + 4]
                    byte = (bytes[position + 3] & 1) << 4 | (digit < 0x40 ? digit - 0x30 : digit - 0x57)
                    position += 4
                default: byte = bytes[position]
                }
            }
            text.append(byte)
            position += 1
        }
        return text
    }

    /// The names of an object's members, and where their values begin.
    func members(_ start: Int) -> [(name: [UInt8], value: Int)] {
        var members: [(name: [UInt8], value: Int)] = []
        var position = start + 1
        while bytes[position] != UInt8(ascii: "}") {
            let value = endOfText(position) + 1
            members.append((text(position), value))
            position = end(of: value)
            if bytes[position] == UInt8(ascii: ",") { position += 1 }
        }
        return members
    }

    /// Where an element of an array begins.
    func element(_ start: Int, _ index: Int) -> Int? {
        var position = start + 1
        var left = index
        while bytes[position] != UInt8(ascii: "]") {
            if left == 0 { return position }
            left -= 1
            position = end(of: position)
            if bytes[position] == UInt8(ascii: ",") { position += 1 }
        }
        return nil
    }
}
