import Archives
import FoundationEssentials
import HostFiles

extension KernelStore {
    /// Every kernel, by name and then the newest first.
    public func list() throws(KernelError) -> [StoredKernel] {
        let chosen = try defaultDigits()
        var kernels: [StoredKernel] = []
        for digits in try digestFolders() {
            if let kernel = try kernel(digits, isDefault: false) { kernels.append(kernel) }
        }
        let implicit = Self.preferred(of: kernels, chosen: chosen)
        return kernels.map { $0.withDefault($0.digest == implicit?.digest) }
            .sorted { ($0.name, -$0.installedSeconds, $0.digest) < ($1.name, -$1.installedSeconds, $1.digest) }
    }

    /// The kernel that a reference means; without one, what `use` chose, else the newest of the project's own kernels,
    /// else the newest of all. Takes well under a millisecond: every `run` does it.
    public func resolve(_ reference: String? = nil) throws(KernelError) -> StoredKernel {
        guard let reference else {
            if let chosen = try defaultDigits(), let kernel = try kernel(chosen, isDefault: true) { return kernel }
            if let kernel = Self.preferred(of: try list(), chosen: nil) { return kernel }
            throw KernelError(
                .unknownKernel,
                "no guest kernel is in \(folder); `swiftlet kernel install` takes the distribution's in seconds, "
                    + "`swiftlet kernel build` makes the small one in minutes")
        }
        let kernels = try list()
        let named = kernels.filter { $0.name == reference || $0.version == reference }
        if let newest = named.max(by: { $0.installedSeconds < $1.installedSeconds }) { return newest }
        let digits = reference.hasPrefix("sha256:") ? String(reference.dropFirst(7)) : reference
        if digits.utf8.count >= 4, digits.utf8.allSatisfy({ Self.isDigit($0) }) {
            let matching = kernels.filter { $0.digest.dropFirst(7).hasPrefix(digits) }
            if matching.count > 1 {
                throw KernelError(
                    .ambiguousReference,
                    "\(matching.count) kernels' digests begin with \(digits); give more digits, or a name")
            }
            if let kernel = matching.first { return kernel }
        }
        throw KernelError(
            .unknownKernel,
            "no kernel is called \"\(reference)\" in \(folder); `swiftlet kernel list` shows what there is")
    }

    /// Which kernel is meant when none is asked for.
    static func preferred(of kernels: [StoredKernel], chosen: String?) -> StoredKernel? {
        if let chosen, let kernel = kernels.first(where: { $0.digest.hasSuffix(chosen) }) { return kernel }
        let own = kernels.filter { $0.name == KernelBuildSettings().name }
        return (own.isEmpty ? kernels : own).max { $0.installedSeconds < $1.installedSeconds }
    }

    /// The names of the kernels' folders.
    func digestFolders() throws(KernelError) -> [String] {
        do throws(HostFileError) {
            return try folder.folderNames().map { String(decoding: $0, as: UTF8.self) }
                .filter { $0.utf8.count == 64 && $0.utf8.allSatisfy { Self.isDigit($0) } }
        } catch {
            if error.isAbsent { return [] }
            throw KernelError(.damagedStore, "\(error); check that you may read it")
        }
    }

    /// What `use` chose, as 64 digits; nil when nothing was chosen.
    func defaultDigits() throws(KernelError) -> String? {
        do throws(HostFileError) {
            let text = String(decoding: try defaultFile.readWhole(limit: 4096), as: UTF8.self)
            return SHA256Digest(hex: text.prefix { $0 != "\n" })?.hex
        } catch {
            if error.isAbsent { return nil }
            throw KernelError(.damagedStore, "\(error); check that you may read it")
        }
    }

    /// Reads one kernel's record; nil when somebody is removing it.
    func kernel(_ digits: String, isDefault: Bool) throws(KernelError) -> StoredKernel? {
        let place = folder(of: digits)
        let content: [UInt8]
        do throws(HostFileError) {
            content = try place.appending(Self.recordFile).readWhole(limit: 1 << 16)
        } catch {
            if error.isMissing { return nil }
            throw KernelError(.damagedStore, "\(error); check that you may read it")
        }
        guard let record = try? JSONDecoder().decode(KernelRecord.self, from: Data(content)), record.format == 1 else {
            throw KernelError(
                .damagedStore,
                "\(place)/\(Self.recordFile) is not a kernel's record; remove that folder and get the kernel again")
        }
        return StoredKernel(record, digits: digits, folder: "\(place)", isDefault: isDefault)
    }

    static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
    }
}

extension StoredKernel {
    init(_ record: KernelRecord, digits: String, folder: String, isDefault: Bool) {
        self.init(
            digest: "sha256:" + digits, name: record.name, version: record.version,
            architecture: record.architecture, source: record.source,
            path: folder + "/" + KernelStore.kernelFile, sizeBytes: record.sizeBytes,
            modulesPath: record.modulesSizeBytes.map { _ in folder + "/" + KernelStore.modulesFile },
            modulesSizeBytes: record.modulesSizeBytes ?? 0, discovery: record.discoverySet,
            arguments: record.arguments, additionalModules: record.additionalModules,
            standardModules: record.standardModules ?? [], installedSeconds: record.installedSeconds,
            isDefault: isDefault)
    }

    func withDefault(_ isDefault: Bool) -> StoredKernel {
        StoredKernel(
            digest: digest, name: name, version: version, architecture: architecture, source: source, path: path,
            sizeBytes: sizeBytes, modulesPath: modulesPath, modulesSizeBytes: modulesSizeBytes, discovery: discovery,
            arguments: arguments, additionalModules: additionalModules, standardModules: standardModules,
            installedSeconds: installedSeconds, isDefault: isDefault)
    }
}
