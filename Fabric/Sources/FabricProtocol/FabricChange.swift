import AgentProtocol
import WireFormats

/// What is to be different in a fabric. What is there already as it is described is left as it is, so that a change can
/// be asked for again.
public struct FabricChange: Equatable, Sendable {
    public var networks: [FabricNetwork] = []
    public var ports: [FabricPort] = []
    public var removedNetworks: [String] = []
    public var removedPorts: [UInt16] = []
    /// Whether that is all that there is to be.
    public var isWhole = false

    public init() {}
}

/// Why a fabric is not as it was to be, in words.
public struct FabricFault: Error, Equatable, Sendable, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}
