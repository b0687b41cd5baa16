/// What a machine is to be: everything its owner needs to know, resolved, so that it can be written down and read again.
public struct MachineSpecification: Codable, Equatable, Sendable {
    public static let processorRange = 1...32
    public static let memoryMebibytesRange = 32...524_288

    public struct Disk: Codable, Equatable, Sendable {
        public var path: String
        public var isReadOnly: Bool

        public init(path: String, isReadOnly: Bool) {
            self.path = path
            self.isReadOnly = isReadOnly
        }
    }

    public var image = ""
    public var imageDigest = ""
    public var imageDiskPath = ""
    public var kernel = ""
    public var kernelPath = ""
    public var kernelArguments = ""
    public var modulesPath: String?
    public var processors = 1
    public var memoryMebibytes = 256
    public var disks: [Disk] = []
    public var network = MachineNetwork.none
    public var hostName: String?
    public var command: [String] = []
    public var environment: [String] = []
    public var user = ""
    public var workingDirectory = ""
    public var hasTerminal = false
    public var isInteractive = false
    public var isDetached = false
    public var removesItself = false
    public var showsConsole = false
    public var timeLimitSeconds: Double?

    public init() {}

    /// What can be known before anything is made.
    public func check() throws(FleetError) {
        guard Self.processorRange.contains(processors) else {
            throw FleetError(
                .invalidSetting, "\(processors) processors cannot be given; a machine has 1 to 32 (--cpus)")
        }
        guard Self.memoryMebibytesRange.contains(memoryMebibytes) else {
            throw FleetError(
                .invalidSetting,
                "\(memoryMebibytes) MiB of memory will not do; a machine needs at least 32 MiB (--memory)")
        }
        guard !command.isEmpty else {
            throw FleetError(
                .noCommand,
                "the image \"\(image)\" names no program; give one after its name: swiftlet run \(image) PROGRAM")
        }
    }
}
