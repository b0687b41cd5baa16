/// What a kernel module says about itself, in the section `.modinfo` of its file.
///
/// Source: System V ABI, chapter 4, "Sections"; include/linux/moduleinfo conventions as `modinfo(8)` shows them:
/// `name=value` texts, each ended by a zero byte.
struct KernelModule: Equatable {
    /// Modules that must be loaded before this one.
    var dependencies: [String] = []
    /// Modules that should be, if they are there.
    var wishes: [String] = []

    /// Nil unless `bytes` are a 64-bit little-endian ELF file with that section.
    init?(_ bytes: [UInt8]) {
        func number(_ offset: Int, _ width: Int) -> Int? {
            guard offset >= 0, offset <= bytes.count - width else { return nil }
            return Int(exactly: (0..<width).reduce(UInt64(0)) { $0 | UInt64(bytes[offset + $1]) << UInt64(8 * $1) })
        }
        guard bytes.starts(with: [0x7f, 0x45, 0x4c, 0x46, 2, 1]), let table = number(0x28, 8),
            let count = number(0x3c, 2), let names = number(0x3e, 2), table <= bytes.count, count > 0, names < count
        else { return nil }
        func section(_ index: Int) -> (name: Int, range: Range<Int>)? {
            let header = table + index * 64
            guard let name = number(header, 4), let offset = number(header + 24, 8), let size = number(header + 32, 8),
                offset <= bytes.count, size <= bytes.count - offset
            else { return nil }
            return (name, offset..<(offset + size))
        }
        guard let texts = section(names)?.range else { return nil }
        let wanted = Array(".modinfo".utf8) + [0]
        for index in 0..<count {
            guard let (name, range) = section(index) else { continue }
            let start = texts.lowerBound + name
            guard start <= texts.upperBound - wanted.count, bytes[start..<(start + wanted.count)].elementsEqual(wanted)
            else { continue }
            for field in bytes[range].split(separator: 0) { read(String(decoding: field, as: UTF8.self)) }
            return
        }
        return nil
    }

    private mutating func read(_ field: String) {
        if field.hasPrefix("depends=") {
            dependencies += field.dropFirst(8).split(separator: ",").map { ModuleName.plain(String($0)) }
        } else if field.hasPrefix("softdep=") {
            var isBefore = false
            for word in field.dropFirst(8).split(separator: " ") {
                if word.hasSuffix(":") {
                    isBefore = word == "pre:"
                } else if isBefore {
                    wishes.append(ModuleName.plain(String(word)))
                }
            }
        }
    }
}

/// Names of modules: `-` and `_` are the same, and files add `.ko` and perhaps a compression.
enum ModuleName {
    static func plain(_ name: String) -> String {
        String(decoding: name.utf8.map { $0 == UInt8(ascii: "-") ? UInt8(ascii: "_") : $0 }, as: UTF8.self)
    }

    /// The module that a file holds; nil for other files.
    static func ofFile(_ path: String) -> String? {
        let file = path.split(separator: "/").last.map(String.init) ?? path
        for ending in [".ko", ".ko.xz", ".ko.gz", ".ko.zst"] where file.hasSuffix(ending) {
            return plain(String(file.dropLast(ending.count)))
        }
        return nil
    }
}
