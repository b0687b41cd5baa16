/// A small assembler for ACPI's machine language: each function gives the bytes of one term.
/// Source: ACPI 6.5 §20.2.
enum AML {
    typealias Bytes = [UInt8]

    /// Names an object: `Name (NAME, value)`.
    static func name(_ name: String, _ value: Bytes) -> Bytes { [0x08] + path(name) + value }

    /// `Scope (\NAME) { … }`.
    static func scope(_ name: String, _ terms: Bytes) -> Bytes { [0x10] + package(path(name) + terms) }

    /// `Device (NAME) { … }` under a name of four characters.
    static func device(_ name: Bytes, _ terms: Bytes) -> Bytes { [0x5b, 0x82] + package(name + terms) }

    /// `Method (NAME, argumentCount, Serialized) { … }`.
    static func serializedMethod(_ name: String, argumentCount: UInt8, _ terms: Bytes) -> Bytes {
        [0x14] + package(path(name) + [argumentCount & 7 | 8] + terms)
    }

    /// `Notify (object, value)`.
    static func notify(_ object: String, _ value: UInt8) -> Bytes { [0x86] + path(object) + integer(UInt64(value)) }

    /// `Package () { … }` of elements already assembled, at most 255.
    static func package(elements: [Bytes]) -> Bytes {
        var bytes: Bytes = [UInt8(truncatingIfNeeded: elements.count)]
        for element in elements { bytes += element }
        return [0x12] + package(bytes)
    }

    /// A buffer that holds resource descriptors, with their end tag.
    static func resources(_ descriptors: Bytes) -> Bytes {
        let bytes = descriptors + [0x79, 0]
        return [0x11] + package(integer(UInt64(bytes.count)) + bytes)
    }

    /// The shortest form of an integer.
    static func integer(_ value: UInt64) -> Bytes {
        var bytes: Bytes = []
        switch value {
        case 0...1: bytes.append(UInt8(value))
        case ...0xff: bytes += [0x0a, UInt8(value)]
        case ...0xffff:
            bytes.append(0x0b)
            bytes.append(littleEndian: UInt16(value))
        case ...0xffff_ffff:
            bytes.append(0x0c)
            bytes.append(littleEndian: UInt32(value))
        default:
            bytes.append(0x0e)
            bytes.append(littleEndian: value)
        }
        return bytes
    }

    /// Text without zero bytes.
    static func string(_ text: String) -> Bytes { [0x0d] + characters(text) + [0] }

    /// A plug-and-play identifier such as `PNP0501`, packed into 32 bits.
    /// Source: ACPI 6.5 §19.3.4 (EISAID).
    static func plugAndPlayIdentifier(_ text: String) -> Bytes {
        var value: UInt32 = 0
        for (index, character) in characters(text).enumerated() {
            if index < 3 {
                value = value << 5 | UInt32(character &- 0x40) & 0x1f
            } else {
                let digit = character >= UInt8(ascii: "A") ? character &- 0x37 : character &- 0x30
                value = value << 4 | UInt32(digit) & 0xf
            }
        }
        var bytes: Bytes = [0x0c]
        bytes.append(littleEndian: value.byteSwapped)
        return bytes
    }

    /// Puts the length of a package before it; the length counts itself.
    /// Source: ACPI 6.5 §20.2.4.
    static func package(_ contents: Bytes) -> Bytes {
        if contents.count + 1 < 0x40 { return [UInt8(contents.count + 1)] + contents }
        // Two to four bytes: four bits of the length in the first, eight in each other.
        for more in 1...3 {
            let length = contents.count + 1 + more
            guard length < 1 << (4 + 8 * more) || more == 3 else { continue }
            var bytes: Bytes = [UInt8(more) << 6 | UInt8(length & 0xf)]
            for index in 0..<more { bytes.append(UInt8(truncatingIfNeeded: length >> (4 + 8 * index))) }
            return bytes + contents
        }
        return contents
    }

    /// A name of one or two segments of four characters, with a backslash before it for the root: `\_SB.PWRB`.
    private static func path(_ text: String) -> Bytes {
        var bytes: Bytes = []
        var hasTwoSegments = false
        for character in characters(text) {
            if character == UInt8(ascii: ".") { hasTwoSegments = true } else { bytes.append(character) }
        }
        if hasTwoSegments { bytes.insert(0x2e, at: bytes.first == UInt8(ascii: "\\") ? 1 : 0) }
        return bytes
    }

    private static func characters(_ text: String) -> Bytes {
        Array(text.utf8)
    }
}

/// Resource descriptors.
/// Source: ACPI 6.5 §6.4.
extension AML {
    /// Edge-triggered, active high, not shared.
    static func interrupt(_ number: UInt32) -> Bytes {
        var bytes: Bytes = [0x89, 6, 0, 0x03, 1]
        bytes.append(littleEndian: number)
        return bytes
    }

    /// A writable range below 4 GiB.
    static func memory(start: UInt32, lengthBytes: UInt32) -> Bytes {
        var bytes: Bytes = [0x86, 9, 0, 1]
        bytes.append(littleEndian: start)
        bytes.append(littleEndian: lengthBytes)
        return bytes
    }

    /// Ports that lie nowhere else.
    static func ports(first: UInt16, count: UInt8) -> Bytes {
        var bytes: Bytes = [0x47, 1]
        bytes.append(littleEndian: first)
        bytes.append(littleEndian: first)
        return bytes + [1, count]
    }
}
