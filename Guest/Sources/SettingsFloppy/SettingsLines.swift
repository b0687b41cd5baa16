/// Settings as they lie on a floppy: one field in a line. Grammar: Documentation/floppy.md.
///
/// Trust: none in the bytes; paths and values are bounded, and neither leads out of a folder nor holds a zero byte.
public enum SettingsLines {
    public static let maximumFields = 8192
    public static let maximumPathBytes = 255
    public static let maximumDepth = 8
    /// What stands between the fields that somebody set and those that have their default.
    static let defaultsMark = bytes("#defaults")

    /// One field.
    public struct Field: Equatable, Sendable {
        /// Names, and numbers of list elements, joined by points: `dns.servers.0`.
        public var path: [UInt8]
        public var value: [UInt8]
        public var isSecret: Bool
        /// Whether it has this value only because nobody set another.
        public var isDefault: Bool

        public init(path: [UInt8], value: [UInt8], isSecret: Bool = false, isDefault: Bool = false) {
            self.path = path
            self.value = value
            self.isSecret = isSecret
            self.isDefault = isDefault
        }
    }

    /// A line that is no field, counted from one.
    public struct Malformed: Error, Equatable, Sendable {
        public let line: Int
    }

    /// The lines of fields, those that were set before those that were not.
    public static func encode(_ fields: [Field]) -> [UInt8] {
        var bytes: [UInt8] = []
        for field in fields where !field.isDefault { append(field, to: &bytes) }
        bytes += defaultsMark
        bytes.append(0x0a)
        for field in fields where field.isDefault { append(field, to: &bytes) }
        return bytes
    }

    private static func append(_ field: Field, to bytes: inout [UInt8]) {
        if field.isSecret { bytes.append(0x21) }
        bytes += field.path
        bytes.append(0x3d)
        for byte in field.value {
            switch byte {
            case 0x5c: bytes += [0x5c, 0x5c]
            case 0x0a: bytes += [0x5c, 0x6e]
            default: bytes.append(byte)
            }
        }
        bytes.append(0x0a)
    }

    public static func decode(_ bytes: [UInt8]) throws(Malformed) -> [Field] {
        var fields: [Field] = []
        var isDefault = false
        var line = 0
        var rest = bytes[...]
        while !rest.isEmpty {
            line += 1
            guard let end = rest.firstIndex(of: 0x0a) else { throw Malformed(line: line) }
            let text = rest[..<end]
            rest = rest[(end + 1)...]
            if text.first == 0x23 {
                if text.elementsEqual(defaultsMark) { isDefault = true }
                continue
            }
            guard !text.isEmpty else { continue }
            guard fields.count < maximumFields, let field = field(text, isDefault: isDefault) else {
                throw Malformed(line: line)
            }
            fields.append(field)
        }
        return fields
    }

    private static func field(_ text: ArraySlice<UInt8>, isDefault: Bool) -> Field? {
        let isSecret = text.first == 0x21
        let body = isSecret ? text.dropFirst() : text
        guard let equals = body.firstIndex(of: 0x3d) else { return nil }
        let path = [UInt8](body[..<equals])
        guard isPath(path) else { return nil }
        var value: [UInt8] = []
        var isEscaped = false
        for byte in body[(equals + 1)...] {
            switch (isEscaped, byte) {
            case (true, 0x5c), (true, 0x6e):
                value.append(byte == 0x6e ? 0x0a : byte)
                isEscaped = false
            case (true, _), (_, 0): return nil
            case (false, 0x5c): isEscaped = true
            default: value.append(byte)
            }
        }
        return isEscaped ? nil : Field(path: path, value: value, isSecret: isSecret, isDefault: isDefault)
    }

    /// Small letters, digits and `-`, beginning with a letter or digit, in each of at most eight parts.
    public static func isPath(_ path: [UInt8]) -> Bool {
        guard path.count <= maximumPathBytes else { return false }
        var depth = 1
        var isStart = true
        for byte in path {
            switch byte {
            case 0x61...0x7a, 0x30...0x39: isStart = false
            case 0x2d where !isStart: break
            case 0x2e where !isStart:
                isStart = true
                depth += 1
            default: return false
            }
        }
        return !isStart && depth <= maximumDepth
    }
}
