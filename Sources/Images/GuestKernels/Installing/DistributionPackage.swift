import FoundationEssentials
import HostFiles

/// A package that the distribution offers, and how it is fetched and unpacked without being installed.
struct DistributionPackage: Equatable {
    let name: String
    let version: String

    /// The newest version of a package that the package lists know; nil when they do not know it.
    static func newest(_ name: String) throws(KernelError) -> (package: DistributionPackage, depends: [String])? {
        let text: String
        do throws(KernelError) {
            text = try HostTool(["apt-cache", "show", "--no-all-versions", "--", name], package: "apt")
                .run(orThrow: .unavailablePackage, "asking for the package \(name)")
        } catch {
            if error.code == .unavailablePackage { return nil }
            throw error
        }
        return parse(text)
    }

    /// Reads one paragraph of a package list.
    /// Source: deb-src-control(5), deb-control(5): "Field: value", continued by a leading space.
    static func parse(_ text: String) -> (package: DistributionPackage, depends: [String])? {
        var fields: [String: String] = [:]
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.isEmpty { break }
            guard let colon = line.firstIndex(of: ":"), line.first != " " else { continue }
            fields[String(line[..<colon])] = line[line.index(after: colon)...].trimmed
        }
        guard let name = fields["Package"], let version = fields["Version"] else { return nil }
        let depends = (fields["Depends"] ?? "").split(separator: ",").compactMap {
            $0.trimmed.split(separator: " ").first.map(String.init)
        }
        return (DistributionPackage(name: name, version: version), depends)
    }

    /// The newest version, or why there is none; root gets the package lists brought up to date first where they are empty.
    static func available(_ name: String) throws(KernelError) -> (package: DistributionPackage, depends: [String]) {
        guard name.utf8.first.map({ $0 != UInt8(ascii: "-") }) ?? false else {
            throw KernelError(.invalidName, "\"\(name)\" cannot be a package's name")
        }
        if let found = try newest(name) { return found }
        _ = try? HostTool(["apt-get", "-qq", "update"], package: "apt").run(orThrow: .unavailablePackage, "")
        if let found = try newest(name) { return found }
        throw KernelError(
            .unavailablePackage,
            "the distribution's package lists do not know \(name); run `sudo apt-get update`, or add the sources that "
                + "offer it")
    }

    /// Fetches it into a folder; apt checks it against the distribution's signature.
    /// - Returns: the package file.
    func fetch(into folder: String) throws(KernelError) -> String {
        try HostTool(["apt-get", "-qq", "download", "\(name)=\(version)"], package: "apt", folder: folder)
            .run(orThrow: .unavailablePackage, "fetching \(name) \(version)")
        let names = try storing { () throws(HostFileError) in try HostPath(folder).folderNames() }
        for file in names.map({ String(decoding: $0, as: UTF8.self) })
        where file.hasPrefix(name + "_") && file.hasSuffix(".deb") {
            return folder + "/" + file
        }
        throw KernelError(.unavailablePackage, "apt fetched no file for \(name) \(version)")
    }

    /// What a package file is.
    static func ofFile(_ path: String) throws(KernelError) -> DistributionPackage {
        let text = try HostTool(["dpkg-deb", "--field", path], package: "dpkg")
            .run(orThrow: .invalidKernel, "reading the package \(path)")
        guard let parsed = parse(text) else {
            throw KernelError(.invalidKernel, "\(path) is not a Debian package")
        }
        return parsed.package
    }

    /// Unpacks a package file.
    static func unpack(_ path: String, into folder: String) throws(KernelError) {
        try HostTool(["dpkg-deb", "--extract", path, folder], package: "dpkg")
            .run(orThrow: .invalidKernel, "unpacking \(path)")
    }
}

extension Substring {
    var trimmed: String {
        let start = drop { $0 == " " || $0 == "\t" }
        var end = start
        while let last = end.last, last == " " || last == "\t" { end.removeLast() }
        return String(end)
    }
}
