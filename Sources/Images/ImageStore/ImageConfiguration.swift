/// What an image says about the program in it: what `run` starts unless it is told otherwise.
///
/// The values come from whoever made the image and are handed to the guest only, never used on the host.
/// Source: OCI image-spec, config.md, "config".
public struct ImageConfiguration: Codable, Equatable, Sendable {
    /// Put before the command.
    public var entrypoint: [String] = []
    /// The program and its arguments, or arguments of `entrypoint`.
    public var command: [String] = []
    /// `NAME=value` each, in the image's order.
    public var environment: [String] = []
    /// `user`, `uid`, `user:group` or `uid:gid`; empty means root.
    public var user = ""
    /// Empty means `/`.
    public var workingDirectory = ""
    public var labels: [String: String] = [:]
    /// `80/tcp` and the like.
    public var exposedPorts: [String] = []
    /// Folders that the image wants kept apart from it.
    public var volumes: [String] = []
    /// `SIGTERM` and the like; empty means SIGTERM.
    public var stopSignal = ""
    /// Nil where the image names none.
    public var healthCheck: HealthCheck?
    /// The processor that the programs are for, in OCI's words: `amd64`, `arm64`; empty when unknown.
    public var architecture = ""

    public init() {}

    /// How to ask whether the program does its work; times are nil where the usual ones will do.
    public struct HealthCheck: Codable, Equatable, Sendable {
        /// `CMD` and a program with its arguments, `CMD-SHELL` and a line for a shell, or `NONE`.
        public var test: [String] = []
        public var intervalSeconds: Double?
        public var timeoutSeconds: Double?
        public var startPeriodSeconds: Double?
        public var startIntervalSeconds: Double?
        public var retries: Int?

        public init() {}
    }

    /// The argument vector of a run: the entry point, then `arguments`, or the image's own command when there are none.
    ///
    /// Another entry point, which is empty for none, knows nothing of the image's command.
    public func arguments(overridingCommand arguments: [String], entrypoint other: String? = nil) -> [String] {
        if let other { return (other.isEmpty ? [] : [other]) + arguments }
        return entrypoint + (arguments.isEmpty ? command : arguments)
    }
}
