import Archives
import FoundationEssentials
import HostFiles
import LinuxCalls

extension KernelStore {
    /// Makes a kernel the one that runs get when they ask for none.
    @discardableResult
    public func use(_ reference: String) throws(KernelError) -> StoredKernel {
        let lock = try changeLock()
        let kernel = try resolve(reference)
        try storing { () throws(HostFileError) in
            try defaultFile.replaceWhole(Array((kernel.digest.dropFirst(7) + "\n").utf8))
        }
        _ = consume lock
        return kernel.withDefault(true)
    }

    /// Takes one kernel away: what exactly `reference` means. Running machines are not disturbed.
    /// - Returns: the kernel as it was.
    @discardableResult
    public func remove(_ reference: String) throws(KernelError) -> StoredKernel {
        let lock = try changeLock()
        let kernel = try resolve(reference)
        let digits = String(kernel.digest.dropFirst(7))
        if try defaultDigits() == digits {
            try storing { () throws(HostFileError) in try defaultFile.removeFile() }
        }
        let leaving = folder.appending("\(Self.incomingPrefix)\(processID())-\(digits.prefix(12))-leaving")
        try storing { () throws(HostFileError) in
            try folder(of: digits).rename(to: leaving)
            try folder.synchronizeFolder()
        }
        try? FileManager.default.removeItem(atPath: "\(leaving)")
        _ = consume lock
        return kernel
    }

    /// Puts a kernel file that somebody has into the store; the file itself stays where it is.
    /// - Parameter modulesFile: an archive as `StoredKernel.modulesPath` describes, for a kernel that needs one.
    @discardableResult
    public func add(
        kernelFile: String, modulesFile: String? = nil, name: String, version: String,
        discovery: KernelDiscovery = [.acpi, .commandLine], arguments: String = ""
    ) throws(KernelError) -> StoredKernel {
        try withStagingFolder { staging throws(KernelError) in
            let kernel = staging + "/" + Self.kernelFile
            try storing { () throws(HostFileError) in try Self.copy(kernelFile, to: kernel) }
            let modules = modulesFile.map { _ in staging + "/" + Self.modulesFile }
            if let modulesFile, let modules {
                try storing { () throws(HostFileError) in try Self.copy(modulesFile, to: modules) }
            }
            return try admit(
                KernelCandidate(
                    name: name, version: version, architecture: try KernelImage.architecture(ofFile: kernel),
                    source: .file(path: kernelFile), discovery: discovery, arguments: arguments, kernelPath: kernel,
                    modulesPath: modules))
        }
    }

    /// Puts a finished kernel in its place: hashed, written down, synchronized, renamed.
    ///
    /// The files of `candidate` must lie in one staging folder of this store. What is there already, bit for bit, only
    /// gets the new record.
    func admit(_ candidate: KernelCandidate) throws(KernelError) -> StoredKernel {
        guard Self.isName(candidate.name) else {
            throw KernelError(
                .invalidName,
                "\"\(candidate.name)\" cannot be a kernel's name: up to 64 letters, digits, dots, dashes and "
                    + "underscores, not beginning with a dot or a dash")
        }
        var hash = SHA256()
        let sizes = try storing { () throws(HostFileError) in
            let kernelSize = try Self.digest(candidate.kernelPath, into: &hash)
            guard let modules = candidate.modulesPath else { return (kernelSize, UInt64?.none) }
            return (kernelSize, UInt64?.some(try Self.digest(modules, into: &hash)))
        }
        let digits = hash.finalize().hex
        let record = KernelRecord(
            candidate, sizeBytes: sizes.0, modulesSizeBytes: sizes.1, installedSeconds: Self.nowSeconds())
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        guard let text = try? encoder.encode(record) else {
            throw KernelError(.damagedStore, "the record of \(candidate.name) cannot be written as JSON")
        }

        let lock = try changeLock()
        let place = folder(of: digits)
        try storing { () throws(HostFileError) in
            if place.exists {
                try place.appending(Self.recordFile).replaceWhole(Array(text))
            } else {
                let ready = HostPath(candidate.kernelPath + ".ready")
                try ready.makeFolders()
                try HostPath(candidate.kernelPath).rename(to: ready.appending(Self.kernelFile))
                if let modules = candidate.modulesPath {
                    try HostPath(modules).rename(to: ready.appending(Self.modulesFile))
                }
                try ready.appending(Self.recordFile).replaceWhole(Array(text))
                try ready.rename(to: place)
                try folder.synchronizeFolder()
            }
        }
        _ = consume lock
        return try resolve("sha256:" + digits)
    }

    static func isName(_ name: String) -> Bool {
        let first = name.utf8.first
        return (1...64).contains(name.utf8.count) && first != UInt8(ascii: ".") && first != UInt8(ascii: "-")
            && name.utf8.allSatisfy {
                switch $0 {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"):
                    true
                default: false
                }
            }
    }

    static func nowSeconds() -> Int64 { Int64(Date().timeIntervalSince1970) }

    /// Hashes a file and makes sure that it is on the disk.
    private static func digest(_ path: String, into hash: inout SHA256) throws(HostFileError) -> UInt64 {
        let file = try HostFile(HostPath(path))
        var buffer = [UInt8](repeating: 0, count: 1 << 18)
        var total: UInt64 = 0
        while true {
            let count = try file.read(into: &buffer)
            if count == 0 { break }
            hash.update(buffer.span.extracting(0..<count))
            total += UInt64(count)
        }
        try file.synchronize()
        return total
    }

    static func copy(_ source: String, to target: String) throws(HostFileError) {
        let input = try HostFile(HostPath(source))
        let output = try HostFile(HostPath(target), [.writeOnly, .create, .truncate])
        var buffer = [UInt8](repeating: 0, count: 1 << 18)
        while true {
            let count = try input.read(into: &buffer)
            if count == 0 { return }
            try output.write(buffer.span.extracting(0..<count))
        }
    }
}
