import Archives
public import ImageStore

/// What somebody has said about a machine's program beside its image. What is not said here is the image's word, and another
/// one's when the machine gets another image.
public struct ImageOverrides: Codable, Equatable, Sendable {
    /// The program and its arguments; the image's own when there are none.
    public var command: [String] = []
    /// Instead of the image's; empty for none.
    public var entrypoint: String?
    /// `NAME=VALUE` each; the last of a name stands.
    public var environment: [String] = []
    public var user: String?
    public var workingDirectory: String?
    public var stopSignal: UInt8?
    /// Beside the image's, and above them.
    public var labels: [String: String] = [:]
    /// `80/tcp` and the like, beside the image's.
    public var exposedPorts: [String] = []
    public var health = HealthOverrides()

    public init() {}

    /// Variables of which the last of a name stands, in the order in which they were last set.
    public static func merged(_ environment: [String], _ others: [String]) -> [String] {
        var result = environment
        for setting in others {
            let name = setting.prefix { $0 != "=" } + "="
            result.removeAll { $0.hasPrefix(name) }
            result.append(setting)
        }
        return result
    }

    static func areInOrder(_ one: String, _ other: String) -> Bool {
        let numbers = [one, other].map { Int($0.prefix { $0.isNumber }) ?? 0 }
        return numbers[0] == numbers[1] ? one < other : numbers[0] < numbers[1]
    }
}

/// What somebody has said about how a machine is asked after its health.
public struct HealthOverrides: Codable, Equatable, Sendable {
    /// Whether the image's check is left out.
    public var isLeftOut = false
    public var command: [String]?
    public var intervalSeconds: Double?
    public var timeoutSeconds: Double?
    public var startPeriodSeconds: Double?
    public var startIntervalSeconds: Double?
    public var retries: Int?
    public var whenUnhealthy = UnhealthyAction.nothing

    public init() {}

    /// The check of a machine that is made of that image; nil for none.
    func check(_ image: ImageConfiguration.HealthCheck?) throws(FleetError) -> HealthCheck? {
        var check: HealthCheck?
        if let command {
            // Another command, at the image's times.
            if let image { check = try? HealthCheck(image) }
            check = check ?? HealthCheck(command: command)
            check?.command = command
        } else if !isLeftOut, let image {
            check = try HealthCheck(image)
        }
        guard check != nil else {
            let times = [intervalSeconds, timeoutSeconds, startPeriodSeconds, startIntervalSeconds]
            guard times.allSatisfy({ $0 == nil }), retries == nil, whenUnhealthy == .nothing else {
                throw FleetError(
                    .invalidSetting,
                    "there is no health check to speak of; the image has none, so give one with --health-cmd")
            }
            return nil
        }
        if let intervalSeconds { check?.intervalSeconds = intervalSeconds }
        if let timeoutSeconds { check?.timeoutSeconds = timeoutSeconds }
        if let startPeriodSeconds { check?.startPeriodSeconds = startPeriodSeconds }
        if let startIntervalSeconds { check?.startIntervalSeconds = startIntervalSeconds }
        if let retries { check?.retries = retries }
        return check
    }
}

extension MachineSpecification {
    /// Makes this the specification of a machine that is made of an image, whatever it was made of before.
    /// - Parameter name: what the image was called by who asked for it.
    public mutating func take(
        _ image: StoredImage, called name: String, with overrides: ImageOverrides
    ) throws(FleetError) {
        let configuration = image.configuration
        self.image = name
        imageDigest = image.digest
        imageDiskPaths = image.diskPaths
        imageVerity = image.rootHash.map { ImageVerity(dataBlocks: image.dataBlockCount, rootHash: $0) }
        command = configuration.arguments(
            overridingCommand: overrides.command, entrypoint: overrides.entrypoint)
        environment = ImageOverrides.merged(configuration.environment, overrides.environment)
        user = overrides.user ?? configuration.user
        workingDirectory = overrides.workingDirectory ?? configuration.workingDirectory
        container.stopSignal = try Self.stopSignal(configuration, overrides)
        container.exposedPorts = Set(configuration.exposedPorts + overrides.exposedPorts)
            .sorted(by: ImageOverrides.areInOrder)
        container.imageVolumes = configuration.volumes
        container.labels = configuration.labels.merging(overrides.labels) { $1 }
        container.healthCheck = try overrides.health.check(configuration.healthCheck)
        container.whenUnhealthy = overrides.health.whenUnhealthy
        self.overrides = overrides
    }

    private static func stopSignal(
        _ image: ImageConfiguration, _ overrides: ImageOverrides
    ) throws(FleetError) -> UInt8 {
        if let signal = overrides.stopSignal { return signal }
        if image.stopSignal.isEmpty { return 15 }
        guard let number = StopSignal.number(of: image.stopSignal) else {
            throw FleetError(
                .invalidSetting,
                "the image's stop signal is \"\(image.stopSignal)\", which is none; give another with --stop-signal")
        }
        return number
    }

    /// Without what it needs somebody in front for.
    var inBackground: MachineSpecification {
        var result = self
        result.isDetached = true
        result.isInteractive = false
        result.showsConsole = false
        return result
    }
}
