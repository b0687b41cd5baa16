import Archives
import FoundationEssentials

/// What is written beside each kernel, as `record.json`.
struct KernelRecord: Codable, Equatable {
    /// Of this layout.
    var format = 1
    var name: String
    var version: String
    var architecture: String
    /// `package`, `built` or `file`.
    var sourceKind: String
    /// The package, or the file's path.
    var sourceName: String
    var sourceVersion: String?
    var configurationDigest: String?
    var sizeBytes: UInt64
    var modulesSizeBytes: UInt64?
    /// `acpi`, `commandLine`.
    var discovery: [String]
    var arguments: String
    /// Modules asked for beside the usual ones, sorted.
    var additionalModules: [String]
    /// Those that each kernel of a distribution gets, as far as it has them: a kernel with others is made anew.
    var standardModules: [String]?
    var installedSeconds: Int64

    var source: KernelSource {
        switch sourceKind {
        case "package": .package(name: sourceName, version: sourceVersion ?? "")
        case "built":
            .built(package: sourceName, version: sourceVersion ?? "", configurationDigest: configurationDigest ?? "")
        default: .file(path: sourceName)
        }
    }

    var discoverySet: KernelDiscovery {
        var set: KernelDiscovery = []
        if discovery.contains("acpi") { set.insert(.acpi) }
        if discovery.contains("commandLine") { set.insert(.commandLine) }
        return set
    }
}

extension KernelRecord {
    init(_ candidate: KernelCandidate, sizeBytes: UInt64, modulesSizeBytes: UInt64?, installedSeconds: Int64) {
        name = candidate.name
        version = candidate.version
        architecture = candidate.architecture
        switch candidate.source {
        case .package(let name, let version):
            (sourceKind, sourceName, sourceVersion) = ("package", name, version)
        case .built(let package, let version, let digest):
            (sourceKind, sourceName, sourceVersion) = ("built", package, version)
            configurationDigest = digest
        case .file(let path):
            (sourceKind, sourceName) = ("file", path)
        }
        self.sizeBytes = sizeBytes
        self.modulesSizeBytes = modulesSizeBytes
        discovery =
            (candidate.discovery.contains(.acpi) ? ["acpi"] : [])
            + (candidate.discovery.contains(.commandLine) ? ["commandLine"] : [])
        arguments = candidate.arguments
        additionalModules = candidate.additionalModules.sorted()
        standardModules = candidate.standardModules
        self.installedSeconds = installedSeconds
    }
}

/// A kernel that is ready to be put into a store.
struct KernelCandidate {
    var name: String
    var version: String
    var architecture: String
    var source: KernelSource
    var discovery: KernelDiscovery
    var arguments = ""
    var additionalModules: [String] = []
    var standardModules: [String]?
    /// The uncompressed ELF kernel; it is moved, not copied.
    var kernelPath: String
    /// The archive of modules; it is moved too.
    var modulesPath: String?
}
