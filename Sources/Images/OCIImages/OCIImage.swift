public import Archives

/// One image of a layout, chosen and verified: what it says about its program, and its layers.
public struct OCIImage: Equatable, Sendable {
    public struct Layer: Hashable, Sendable {
        /// Of the blob as stored.
        public let digest: SHA256Digest
        public let sizeBytes: UInt64
        /// Of the tar in it; of the blob itself in an artifact.
        public let tarDigest: SHA256Digest
    }

    /// What kind of artifact it is; nil for an image of a container. Nothing else is known of an artifact here but its blobs.
    public let artifactType: String?

    /// Digest of the manifest.
    public let manifestDigest: SHA256Digest
    public let configurationDigest: SHA256Digest
    /// The lowest first.
    public let layers: [Layer]
    public let architecture: String
    public let user: String
    public let environment: [String]
    public let entrypoint: [String]
    public let command: [String]
    public let workingDirectory: String
    public let labels: [String: String]
    public let exposedPorts: [String]
    public let volumes: [String]
    public let stopSignal: String
    public let healthCheck: HealthCheck?

    /// How the image wants to be asked whether its program does its work. Times are nil where the usual ones will do.
    public struct HealthCheck: Equatable, Sendable {
        /// `CMD` and a program with its arguments, `CMD-SHELL` and a line for a shell, or `NONE`.
        public let test: [String]
        public let intervalSeconds: Double?
        public let timeoutSeconds: Double?
        public let startPeriodSeconds: Double?
        public let startIntervalSeconds: Double?
        public let retries: Int?

        init?(_ document: OCIDocuments.HealthCheck?) {
            guard let document, let test = document.test, !test.isEmpty else { return nil }
            func seconds(_ nanoseconds: Int64?) -> Double? {
                guard let nanoseconds, nanoseconds > 0 else { return nil }
                return Double(nanoseconds) / 1e9
            }
            self.test = test
            intervalSeconds = seconds(document.interval)
            timeoutSeconds = seconds(document.timeout)
            startPeriodSeconds = seconds(document.startPeriod)
            startIntervalSeconds = seconds(document.startInterval)
            retries = document.retries.flatMap { (1...1000).contains($0) ? Int($0) : nil }
        }
    }
}
