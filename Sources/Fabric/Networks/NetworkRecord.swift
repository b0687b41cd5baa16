public import AgentProtocol
public import FabricProtocol
import FoundationEssentials
import HostFiles

/// What is written down about one network.
public struct NetworkRecord: Codable, Equatable, Sendable {
    public var name: String
    /// Its bridge is called by it.
    public var number: UInt16
    /// One of a family at most, written `10.190.1.0/24`.
    public var prefixes: [String]
    public var maximumTransmissionUnit: UInt32
    public var reachesOutside: Bool
    public var reachableNetworks: [String]
    /// Whether its machines see the gateway only, and not one another.
    public var isPrivate: Bool
    /// The addresses of machines that lead out of it; empty: nobody does. Nil: the fabric does.
    public var gateways: [String]?
    public var labels: [String: String]
    public var createdSeconds: Int64
    /// Who is asked for names that are not the fabric's; nil: whom this computer asks.
    public var nameServers: [String]?
    /// Whose it is: networks of two tenants never meet. Nil: nobody's, which may meet with anyone's.
    public var tenant: String?

    /// Those that can be read; a record that somebody has changed may hold anything.
    public var addressing: [NetworkPrefix] { prefixes.compactMap { NetworkPrefix($0) } }

    /// Whether the fabric leads out of it, and gives addresses and names.
    public var isRouted: Bool { gateways == nil }
    /// Where packets for elsewhere go, at most one of a family.
    public var gatewayAddresses: [IPAddress] {
        gateways.map { $0.compactMap { IPAddress($0) } } ?? addressing.compactMap(\.gateway)
    }

    /// As the fabric is told.
    /// - Parameter nameServers: whom this computer asks for names.
    public func fabricNetwork(nameServers: [IPAddress]) -> FabricNetwork {
        let own = self.nameServers?.compactMap { IPAddress($0) } ?? nameServers
        return FabricNetwork(
            name: name, number: number, prefixes: addressing, maximumTransmissionUnit: maximumTransmissionUnit,
            reachesOutside: reachesOutside, reachableNetworks: reachableNetworks, isPrivate: isPrivate,
            // Names are a way out, too.
            nameServers: reachesOutside ? own : [], gateways: gateways.map { $0.compactMap { IPAddress($0) } })
    }

    private static let fileName = "network.json"

    func write(to folder: HostPath) throws(NetworkError) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        guard let data = try? encoder.encode(self) else {
            throw NetworkError(.unusableFolder, "the record of the network \(name) cannot be written as JSON")
        }
        try networkFiles { () throws(HostFileError) in
            try folder.appending(Self.fileName).replaceWhole([UInt8](data), mode: 0o600)
        }
    }

    static func read(from folder: HostPath) -> NetworkRecord? {
        guard let bytes = try? folder.appending(fileName).readWhole(limit: 1 << 20) else { return nil }
        return try? JSONDecoder().decode(NetworkRecord.self, from: Data(bytes))
    }

    static func remove(from folder: HostPath) throws(HostFileError) {
        try folder.appending(fileName).removeFile()
        try folder.removeEmptyFolder()
    }
}
