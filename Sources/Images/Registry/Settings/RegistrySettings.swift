public import HostFiles

/// How registries are talked to.
public struct RegistrySettings: Sendable {
    /// Plain HTTP and unchecked certificates are taken from every host, not from this machine alone.
    public var isInsecure = false
    /// Folders with a folder for each registry, `HOST[:PORT]`, whose `*.crt` files are trusted for that registry.
    public var certificateFolders = [HostPath("/etc/containers/certs.d"), HostPath("/etc/docker/certs.d")]
    /// Certificates that are trusted for every registry, besides the system's.
    public var certificateFile: HostPath?
    /// Certificates in the place of the system's.
    public var systemCertificateFile: HostPath?
    /// What is asked before a registry itself: hosts, or http and https addresses, by registry.
    public var mirrors: [String: [String]] = [:]
    /// To connect, with TLS.
    public var connectTimeout = Duration.seconds(10)
    /// From the request to the head of the answer, and for the whole of a short one.
    public var answerTimeout = Duration.seconds(30)
    /// How long a blob may bring hardly anything: less than `stallBytes`.
    public var stallTimeout = Duration.seconds(30)
    public var stallBytes: UInt64 = 4096
    /// How long a registry may take to check and keep a blob that was sent whole.
    public var commitTimeout = Duration.seconds(300)
    /// How often the same thing is tried in all; what made progress in between is not counted.
    public var attempts = 5
    /// The pause before the second attempt; it doubles with each, up to `maximumPause`.
    public var firstPause = Duration.milliseconds(500)
    public var maximumPause = Duration.seconds(20)
    /// The longest `Retry-After` that is waited for; above it the registry's answer is told at once.
    public var maximumRetryAfter = Duration.seconds(60)
    /// How many blobs come, or go, at a time.
    public var parallelTransfers = 4
    /// Blobs larger than this are sent in parts of this size, which can be sent again one by one.
    public var uploadPartBytes: UInt64 = 64 << 20
    public var userAgent = "swiftlet"

    public init() {}

    /// - Parameter environment: `SSL_CERT_FILE` replaces the system's certificates;
    ///   `SWIFTLET_REGISTRY_MIRRORS` is a list of `REGISTRY=MIRROR`, with spaces or commas between.
    /// - Throws: `.invalidSetting`.
    public init(environment: [String: String]) throws(RegistryError) {
        if let file = environment["SSL_CERT_FILE"], !file.isEmpty { systemCertificateFile = HostPath(file) }
        for text in (environment["SWIFTLET_REGISTRY_MIRRORS"] ?? "").split(whereSeparator: { " ,".contains($0) }) {
            try addMirror(text)
        }
    }

    /// Adds a mirror, behind those that are there: `docker.io=mirror.example:5000`.
    /// - Throws: `.invalidSetting`.
    public mutating func addMirror(_ text: some StringProtocol) throws(RegistryError) {
        let parts = text.split(separator: "=", maxSplits: 1)
        guard parts.count == 2, let registry = try? ImageReference.registry(parts[0]),
            Self.mirrorAddress(String(parts[1])) != nil
        else {
            throw RegistryError(
                .invalidSetting,
                "\"\(Printable.text(text, limit: 120))\" is no mirror; write REGISTRY=MIRROR, such as "
                    + "docker.io=mirror.example:5000")
        }
        mirrors[registry, default: []].append(String(parts[1]))
    }

    /// Nil for what is neither a host nor an address. The flag says whether the text itself chose http or https.
    static func mirrorAddress(_ text: String) -> (address: WebAddress, isExact: Bool)? {
        if let address = WebAddress(text) { return (address, true) }
        guard let (host, port) = WebAddress.splitHost(text.lowercased()) else { return nil }
        return (WebAddress(isSecure: true, host: host, port: port), false)
    }

    /// The pause before attempt `number` (from 2), somewhere between half and the whole of what doubling says.
    func pause(before number: Int, retryAfter: Duration?) -> Duration {
        if let retryAfter { return retryAfter }
        let doubled = firstPause * (1 << min(max(number - 2, 0), 16))
        return min(doubled, maximumPause) * Double.random(in: 0.5...1)
    }
}
