import FileTrees

/// How an image is brought in; the defaults suit nearly everybody.
public struct ImportSettings: Sendable {
    /// Each value given here stands above what the source says.
    public struct Overrides: Sendable {
        public var entrypoint: [String]?
        public var command: [String]?
        /// `NAME=value`; added to the source's, replacing the same names.
        public var environment: [String] = []
        public var user: String?
        public var workingDirectory: String?
        /// Added to the source's, replacing the same keys.
        public var labels: [String: String] = [:]

        public init() {}
    }

    public var overrides = Overrides()
    /// Which of an OCI index's images: an architecture in OCI's words.
    public var architecture = ImportSettings.hostArchitecture
    /// Which of the images in an OCI layout, by its `org.opencontainers.image.ref.name`; nil where there is only one.
    public var layoutReference: String?
    /// Whether a pull brings everything that an index lists, to be handed on; what runs is one image of it.
    public var keepsAllPlatforms = false
    /// The most that the files may hold together, against decompression bombs.
    public var maximumContentBytes: UInt64 = 256 << 30
    /// The most files, folders and links.
    public var maximumEntries = 4_000_000

    public init() {}

    var limits: TreeLimits {
        TreeLimits(maximumEntries: maximumEntries, maximumContentBytes: maximumContentBytes)
    }

    /// This machine's processor in OCI's words.
    public static var hostArchitecture: String {
        #if arch(x86_64)
            "amd64"
        #elseif arch(arm64)
            "arm64"
        #else
            "unknown"
        #endif
    }
}

/// How far an import has come.
public struct ImportProgress: Equatable, Sendable {
    public enum Phase: String, Sendable {
        /// Reading the folder, the tar or the layers.
        case reading
        /// Writing the disk.
        case writing
        /// Hashing and putting it in place.
        case finishing
    }

    public let phase: Phase
    /// Bytes of the source read, or of the disk written.
    public let bytesDone: UInt64
    /// Nil when nobody can know, as with a pipe.
    public let bytesTotal: UInt64?
    /// Files, folders and links seen.
    public let entries: Int

    /// From 0 to 1; nil when nobody can know.
    public var doneFraction: Double? { bytesTotal.map { $0 == 0 ? 1 : Double(bytesDone) / Double($0) } }
}
