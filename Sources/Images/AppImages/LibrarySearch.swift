import HostFiles

/// Where a dynamic loader looks for libraries, and where it will look in the image.
///
/// Source: ld.so(8), ldconfig(8); musl, "Dynamic linker".
struct LibrarySearch {
    enum Loader { case glibc, musl }

    /// A library's folder here, and where it is in the image.
    struct Folder: Equatable {
        let here: String
        let inImage: String
    }

    let loader: Loader
    /// Those that the loader knows without any file: the same in the image.
    let usual: [String]
    /// Those that this computer's configuration adds, which the image has not: what is found there goes to a usual one.
    let configured: [String]

    private static let mostIncludes = 1000
    private static let mostConfigurationBytes = 1 << 20

    /// - Parameter configuration: `/etc/ld.so.conf`, or another in its place.
    init(interpreter: String, machine: UInt16, configuration: String = "/etc/ld.so.conf") {
        if interpreter.contains("ld-musl-") {
            loader = .musl
            usual = ["/lib", "/usr/local/lib", "/usr/lib"]
            configured = []
        } else {
            loader = .glibc
            let triple = machine == 183 ? "aarch64-linux-gnu" : "x86_64-linux-gnu"
            let usual = ["/lib/\(triple)", "/usr/lib/\(triple)", "/lib64", "/usr/lib64", "/lib", "/usr/lib"]
            var left = Self.mostIncludes
            let all = Self.folders(in: configuration, left: &left)
            configured = all.filter { !usual.contains($0) }
            self.usual = usual
        }
    }

    /// The folders that a configuration names, files that it includes in their place.
    private static func folders(in file: String, left: inout Int) -> [String] {
        left -= 1
        guard left > 0, let bytes = try? HostPath(file).readWhole(limit: mostConfigurationBytes) else { return [] }
        var result: [String] = []
        for line in String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isNewline) {
            let words = line.prefix { $0 != "#" }.split(whereSeparator: \.isWhitespace).map(String.init)
            guard let first = words.first else { continue }
            if first == "include" {
                for pattern in words.dropFirst() {
                    for included in names(pattern, besides: file) { result += folders(in: included, left: &left) }
                }
            } else if first.hasPrefix("/") {
                result.append(first.count > 1 && first.hasSuffix("/") ? String(first.dropLast()) : first)
            }
        }
        return result
    }

    /// The files that a pattern means whose last part may have one `*`, sorted.
    private static func names(_ pattern: String, besides file: String) -> [String] {
        let whole = pattern.hasPrefix("/") ? pattern : AppPath.folder(of: file) + "/" + pattern
        let folder = AppPath.folder(of: whole)
        let parts = whole.dropFirst(folder.count + 1).split(separator: "*", omittingEmptySubsequences: false)
        guard parts.count == 2 else { return [whole] }
        return ((try? HostPath(folder).folderNames()) ?? []).map { String(decoding: $0, as: UTF8.self) }
            .filter { $0.count >= parts[0].count + parts[1].count && $0.hasPrefix(parts[0]) && $0.hasSuffix(parts[1]) }
            .map { folder + "/" + $0 }
    }

    /// The folders in which a library of `object` is looked for, in the loader's order.
    func folders(for object: AppObject, loadedBy chain: [AppObject]) -> [Folder] {
        var result: [Folder] = []
        if object.elf.runPath.isEmpty || loader == .musl {
            for owner in [object] + chain where owner.elf.runPath.isEmpty || loader == .musl {
                result += owner.elf.inheritedPath.compactMap { expand($0, of: owner) }
                if loader == .musl { result += owner.elf.runPath.compactMap { expand($0, of: owner) } }
            }
        } else {
            result += object.elf.runPath.compactMap { expand($0, of: object) }
        }
        if object.elf.ignoresUsualFolders { return result }
        result += configured.map { Folder(here: $0, inImage: usual[0]) }
        result += usual.map { Folder(here: $0, inImage: $0) }
        return result
    }

    /// Puts in what stands for the object's own folder. Folders that are relative to the working one are passed over, and so are
    /// those that depend on the processor.
    private func expand(_ text: String, of object: AppObject) -> Folder? {
        for token in ["$ORIGIN", "${ORIGIN}"] where text.hasPrefix(token) {
            let rest = text.dropFirst(token.count)
            guard rest.isEmpty || rest.hasPrefix("/"), !rest.contains("$") else { return nil }
            return Folder(
                here: AppPath.normal(AppPath.folder(of: object.path) + rest),
                inImage: AppPath.normal(AppPath.folder(of: object.place) + rest))
        }
        guard text.hasPrefix("/"), !text.contains("$") else { return nil }
        let path = AppPath.normal(text)
        return Folder(here: path, inImage: path)
    }
}

/// Absolute paths as text.
enum AppPath {
    static func folder(of path: String) -> String {
        let end = path.lastIndex(of: "/") ?? path.startIndex
        return String(path[..<end])
    }

    static func name(of path: String) -> String { String(path.split(separator: "/").last ?? "") }

    /// Without `.`, `..` and doubled slashes, as if no folder were a link.
    static func normal(_ path: String) -> String {
        var parts: [Substring] = []
        for part in path.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        return "/" + parts.joined(separator: "/")
    }
}
