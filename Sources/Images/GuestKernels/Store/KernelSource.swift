/// Where a kernel came from.
public enum KernelSource: Equatable, Sendable {
    /// Taken out of a distribution's binary package.
    case package(name: String, version: String)
    /// Built from a distribution's source package with a configuration whose SHA-256 (64 digits) is given.
    case built(package: String, version: String, configurationDigest: String)
    /// A file that somebody gave.
    case file(path: String)
}

extension KernelSource: CustomStringConvertible {
    public var description: String {
        switch self {
        case .package(let name, let version): "\(name) \(version)"
        case .built(let package, let version, _): "built from \(package) \(version)"
        case .file(let path): path
        }
    }
}

/// The ways in which a kernel can learn what devices and processors it has.
public struct KernelDiscovery: OptionSet, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Reads ACPI tables (hardware-reduced), processors included.
    public static let acpi = KernelDiscovery(rawValue: 1)
    /// Reads `virtio_mmio.device=` on its command line, and an MP table for its processors.
    public static let commandLine = KernelDiscovery(rawValue: 2)
}
