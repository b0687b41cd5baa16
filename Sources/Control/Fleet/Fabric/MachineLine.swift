import AgentProtocol
import FabricProtocol
import FoundationEssentials
import HostFiles
import Networks

/// An appliance in the wire of a machine's interface, as it is written down.
public struct LineEntry: Codable, Equatable, Sendable {
    /// The appliance's id.
    public var machine: String
    /// As people call it.
    public var name: String
    /// The port of its end towards the machine; of one that only looks, its only one.
    public var inside: UInt16
    /// Of its end towards the network; nil: it gets copies of what goes by.
    public var outside: UInt16?
    /// Whether traffic goes around it when it fails; otherwise it stops.
    public var failsOpen: Bool
    /// Whether it is passed by.
    public var isBypassed: Bool
    /// After how long without a sign of life it is said to fail; nil: it is not probed.
    public var patienceMilliseconds: UInt32?
    /// Another appliance that is tried beside it.
    public var shadow: Shadow?
    /// The hardware addresses of its ends, of one that routes; nil: it leaves them as they are.
    public var routing: Stations?

    /// As people write them.
    public struct Stations: Codable, Equatable, Sendable {
        public var inside: String
        public var outside: String

        /// Nil for what somebody else has written.
        var stations: InlineAppliance.Stations? {
            guard let inside = HardwareAddress.bytes(inside), let outside = HardwareAddress.bytes(outside) else {
                return nil
            }
            return InlineAppliance.Stations(inside: inside, outside: outside)
        }
    }

    /// Whether it can be told to the fabric as it is written down.
    var isReadable: Bool { routing.map { $0.stations != nil } ?? true }

    /// Whom it hands what it gets at that end, if it routes.
    func nextHop(from end: UInt16, _ family: IPAddress.Family) -> IPAddress? {
        guard routing != nil else { return nil }
        guard family == .v4 else { return RouterHops.gateway6 }
        return end == inside ? RouterHops.gateways.outside : RouterHops.gateways.inside
    }

    /// An appliance that gets a copy of what another one gets, and lets nothing through.
    public struct Shadow: Codable, Equatable, Sendable {
        public var machine: String
        public var name: String
        public var inside: UInt16
        public var outside: UInt16
    }

    /// Those of the machines that are in the wire here.
    var holders: [(machine: String, ends: [UInt16])] {
        [(machine, [inside] + (outside.map { [$0] } ?? []))]
            + (shadow.map { [($0.machine, [$0.inside, $0.outside])] } ?? [])
    }
    var ends: [UInt16] { holders.flatMap(\.ends) }

    /// Whoever only looks is no part of the way.
    var inline: InlineAppliance? {
        guard let outside else { return nil }
        var inline = InlineAppliance(
            name: FabricPort.isName(name) ? name : machine, inside: inside, outside: outside, failsOpen: failsOpen,
            isBypassed: isBypassed, patienceMilliseconds: patienceMilliseconds, routing: routing?.stations)
        inline.shadow = shadow.map { InlineAppliance.Shadow(inside: $0.inside, outside: $0.outside) }
        return inline
    }
}

/// What is in the wires of a machine, by what these are known by (`AssignedInterface.wire`), each from the machine to the network. It is in a file of its
/// own beside the machine's record, written by whoever holds the lock of the networks.
struct MachineLine: Codable, Equatable {
    var wires: [String: [LineEntry]] = [:]
    /// What becomes of frames behind those; nil: nothing, nowhere.
    var impairments: [String: WireImpairment]?

    private static let fileName = "line.json"

    var entries: [LineEntry] { wires.values.flatMap { $0 } }

    func entries(_ interface: AssignedInterface) -> [LineEntry] { interface.wire.flatMap { wires[$0] } ?? [] }
    func impairment(_ interface: AssignedInterface) -> WireImpairment? {
        interface.wire.flatMap { impairments?[$0] }
    }

    /// - Throws: what cannot be read is not taken for a plain wire: an appliance may be there to protect.
    static func read(from folder: HostPath) throws(FleetError) -> MachineLine {
        let path = folder.appending(fileName)
        var bytes: [UInt8] = []
        do throws(HostFileError) { bytes = try path.readWhole(limit: 1 << 20) } catch {
            if error.isAbsent { return MachineLine() }
            throw FleetError(.damagedRecord, "what is in the machine's wires cannot be read: \(error)")
        }
        guard let line = try? JSONDecoder().decode(MachineLine.self, from: Data(bytes)) else {
            throw FleetError(
                .damagedRecord, "\(path) does not say what is in the machine's wires; remove it to have plain ones")
        }
        return line
    }

    func write(to folder: HostPath) throws(FleetError) {
        let path = folder.appending(Self.fileName)
        try files { () throws(HostFileError) in
            if entries.isEmpty, impairments?.isEmpty != false {
                try path.removeFile()
            } else if let data = try? JSONEncoder().encode(self) {
                try path.replaceWhole([UInt8](data), mode: 0o600)
            }
        }
    }
}

extension MachineStore {
    func line(of record: MachineRecord) throws(FleetError) -> MachineLine {
        try MachineLine.read(from: folder(record.id))
    }

    /// For whoever only looks at what there is.
    func readableLine(of record: MachineRecord) -> MachineLine { (try? line(of: record)) ?? MachineLine() }

    /// Has nobody else change networks, wires and published ports meanwhile.
    /// - Parameter isExclusive: false for one of many who only carry out what is written down.
    func withNetworkLock<Result>(isExclusive: Bool = true, _ body: () throws(FleetError) -> Result) throws(FleetError)
        -> Result
    {
        let lock: NetworkLock
        do throws(NetworkError) { lock = try networks.lock(isExclusive: isExclusive) } catch { throw FleetError(error) }
        defer { extendLifetime(lock) }
        return try body()
    }
}
