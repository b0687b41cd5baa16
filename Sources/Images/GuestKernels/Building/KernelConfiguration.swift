import Archives

/// A kernel configuration, or a part of one: symbols and the values that they are to have.
///
/// Source: Documentation/kbuild/kconfig.rst: `CONFIG_X=value` and `# CONFIG_X is not set` lines, all else is comment.
struct KernelConfiguration: Equatable {
    /// In the file's order. Off is `n`.
    private(set) var values: [(symbol: String, value: String)] = []

    init(_ text: String) {
        for line in text.split(separator: "\n") {
            if line.hasPrefix("CONFIG_"), let equals = line.firstIndex(of: "=") {
                values.append((String(line[..<equals]), line[line.index(after: equals)...].trimmed))
            } else if line.hasPrefix("# CONFIG_"), line.hasSuffix(" is not set") {
                values.append((String(line.dropFirst(2).dropLast(11)), "n"))
            }
        }
    }

    static func == (left: Self, right: Self) -> Bool { left.values.elementsEqual(right.values, by: ==) }

    /// What this one asks for and `result` does not have, in words.
    func unmet(by result: KernelConfiguration) -> [String] {
        let got = Dictionary(result.values.map { ($0.symbol, $0.value) }, uniquingKeysWith: { $1 })
        return values.compactMap { symbol, value in
            let have = got[symbol] ?? "n"
            if have == value { return nil }
            let words = got[symbol] == nil ? "is unknown there, or what it depends on is off" : "became \(have)"
            return "\(symbol)=\(value) \(words)"
        }
    }

    /// Symbols that are given more than once.
    var repeated: [String] {
        var seen: Set<String> = []
        return values.map(\.symbol).filter { !seen.insert($0).inserted }
    }

    /// The project's own configuration, as it is part of this program.
    static var ownText: String { String(decoding: PackageResources.microvm_config, as: UTF8.self) }
}
