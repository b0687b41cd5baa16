/// How far the driver has come. Source: virtio 1.3 §2.1.
public struct DeviceStatus: OptionSet, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// The guest has noticed the device.
    public static let acknowledge = DeviceStatus(rawValue: 1)
    /// The guest knows how to drive it.
    public static let driver = DeviceStatus(rawValue: 2)
    /// The driver is set up and drives the device.
    public static let driverOK = DeviceStatus(rawValue: 4)
    /// The features are agreed.
    public static let featuresOK = DeviceStatus(rawValue: 8)
    /// Only the device sets it: nothing but a reset helps.
    public static let deviceNeedsReset = DeviceStatus(rawValue: 64)
    /// The guest has given the device up.
    public static let failed = DeviceStatus(rawValue: 128)

    /// Whether each step has those before it. A driver may take several with one write.
    var isInOrder: Bool {
        if contains(.driverOK), !contains(.featuresOK) { return false }
        if contains(.featuresOK), !contains(.driver) { return false }
        if contains(.driver), !contains(.acknowledge) { return false }
        return true
    }
}
