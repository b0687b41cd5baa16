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
    /// The processor that the programs are for, in OCI's words: `amd64`, `arm64`; empty when unknown.
    public var architecture = ""

    public init() {}

    /// The argument vector of a run: the entry point, then `arguments`, or the image's own command when there are none.
    ///
    /// Another entry point, which is empty for none, knows nothing of the image's command.
    public func arguments(overridingCommand arguments: [String], entrypoint other: String? = nil) -> [String] {
        if let other { return (other.isEmpty ? [] : [other]) + arguments }
        return entrypoint + (arguments.isEmpty ? command : arguments)
    }
}
