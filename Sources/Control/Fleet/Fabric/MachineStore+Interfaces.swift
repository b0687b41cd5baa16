import AgentProtocol
import FabricProtocol
import FoundationEssentials
import HostFiles

/// The interfaces that a machine is to have from its next start on, where somebody has put it into networks or taken it out
/// of them, in a file beside its record: that says what a machine that runs began with, and stays so until it ends.
struct DeclaredInterfaces: Codable, Equatable {
    var interfaces: [MachineInterface]
    /// Of those for which devices are made, in their order.
    var networkNumbers: [Int]

    private static let fileName = "interfaces.json"

    /// Nil where nobody has changed any.
    static func read(from folder: HostPath) -> DeclaredInterfaces? {
        guard let bytes = try? folder.appending(fileName).readWhole(limit: 1 << 20) else { return nil }
        return try? JSONDecoder().decode(DeclaredInterfaces.self, from: Data(bytes))
    }

    static func remove(from folder: HostPath) { try? folder.appending(fileName).removeFile() }

    func write(to folder: HostPath) throws(FleetError) {
        guard let data = try? JSONEncoder().encode(self) else {
            throw FleetError(.unusableFolder, "a machine's interfaces cannot be written as JSON")
        }
        try files { () throws(HostFileError) in
            try folder.appending(Self.fileName).replaceWhole([UInt8](data), mode: 0o600)
        }
    }

    init(_ record: MachineRecord) {
        interfaces = record.specification.interfaces
        networkNumbers = record.networkNumbers
    }

    mutating func add(_ interface: MachineInterface, number: Int) {
        interfaces.append(interface)
        networkNumbers.append(number)
    }

    mutating func remove(_ network: String) {
        guard let place = interfaces.firstIndex(where: { $0.network.fabricNetwork == network }) else { return }
        let number = interfaces[..<place].count { $0.network.isOwn }
        interfaces.remove(at: place)
        if networkNumbers.indices.contains(number) { networkNumbers.remove(at: number) }
    }
}

extension MachineRecord {
    /// Whether it boots when it begins: one that goes on from elsewhere has the interfaces that it had there.
    var boots: Bool { specification.origin == nil && state != .suspended }

    mutating func take(_ declared: DeclaredInterfaces) {
        if declared.interfaces == specification.interfaces { return }
        specification.interfaces = declared.interfaces
        networkNumbers = declared.networkNumbers
    }
}

extension MachineStore {
    func declaredInterfaces(of record: MachineRecord) -> DeclaredInterfaces? {
        DeclaredInterfaces.read(from: folder(record.id))
    }

    /// Those that it has, or will have when it begins: what it has been taken out of is not among them. One that was attached may
    /// be there twice.
    func presentInterfaces(of record: MachineRecord) -> [MachineInterface] {
        let attached = attachments(of: record) + suspendedAttachments(of: record)
        return (declaredInterfaces(of: record)?.interfaces ?? record.specification.interfaces)
            + (attached + (record.specification.origin?.attachments ?? [])).compactMap(\.interface)
    }

    /// Those that are plugged into the fabric as long as it runs: what it began with and was not taken out of, and what was
    /// attached.
    public func pluggedInterfaces(of record: MachineRecord) -> [AssignedInterface] {
        plugged(record, attachments(of: record))
    }

    func plugged(_ record: MachineRecord, _ attachments: [DeviceAttachment]) -> [AssignedInterface] {
        (stayingInterfaces(of: record) + attachments.compactMap(\.assignedInterface)).countingRepetitions()
    }

    /// Those into whose wires something can be put: of a machine that does not run, as it will begin.
    func wiredInterfaces(of record: MachineRecord) -> [AssignedInterface] {
        var record = record
        if record.state.isOver, record.boots, let declared = declaredInterfaces(of: record) { record.take(declared) }
        return pluggedInterfaces(of: record).filter { $0.wire != nil }
    }

    /// Those that it began with and was taken out of since: their devices stay with the monitor.
    func leftInterfaces(of record: MachineRecord) -> [AssignedInterface] {
        guard !record.state.isOver, let declared = declaredInterfaces(of: record) else { return [] }
        // Into the network that it has left it comes with another interface.
        return record.interfaces.filter {
            $0.interface.network.fabricNetwork != nil && !declared.interfaces.contains($0.interface)
        }
    }

    /// The one that published ports lead to: where the guest answers everybody, or the first; then it is asked from its network. Into
    /// networks that machines lead out of nothing leads.
    public func publishedInterface(
        of record: MachineRecord, _ plugged: [AssignedInterface]
    ) -> (interface: AssignedInterface, answers: Bool)? {
        let inNetworks = plugged.filter { $0.interface.network.fabricNetwork != nil && $0.interface.gateways == nil }
        let routing = routingInterface(of: record, attachments(of: record))
        if let routing, let own = inNetworks.first(where: { $0 == routing }) { return (own, true) }
        return inNetworks.first.map { ($0, false) }
    }

    /// Through which the guest answers whoever is in none of its networks.
    func routingInterface(of record: MachineRecord, _ attachments: [DeviceAttachment]) -> AssignedInterface? {
        routingInterface(of: record, attachments, .v4) ?? routingInterface(of: record, attachments, .v6)
    }

    /// Through which its default route of one family leads: what was attached has it where nothing else had.
    func routingInterface(
        of record: MachineRecord, _ attachments: [DeviceAttachment], _ family: IPAddress.Family
    ) -> AssignedInterface? {
        let attached = attachments.filter { $0.hasDefaultRoute == true }.compactMap(\.assignedInterface)
        return (attached + stayingInterfaces(of: record)).first { $0.leads(family) }
    }

    /// Whether the guest was told a default route.
    func hasDefaultRoute(_ record: MachineRecord, _ attachments: [DeviceAttachment]) -> Bool {
        attachments.contains { $0.hasDefaultRoute == true }
            || stayingInterfaces(of: record).contains {
                !$0.gateways.isEmpty && $0.interface.isLeftToProgram != true
            }
    }

    /// Those that it began with and was not taken out of; what was attached is not among them.
    public func stayingInterfaces(of record: MachineRecord) -> [AssignedInterface] {
        let left = leftInterfaces(of: record).map(\.place)
        return record.interfaces.filter { !left.contains($0.place) }
    }
}

extension OwnedMachine {
    /// For who begins a run: networks that it was put into or taken out of since the last one.
    func takeDeclaredInterfaces() throws(FleetError) {
        // Whoever goes on from where it stood has what it had there.
        guard restorePoint == nil, record.boots, let declared = DeclaredInterfaces.read(from: folder) else { return }
        var next = record
        next.take(declared)
        if next.specification.interfaces == record.specification.interfaces { return }
        let others = store.list().filter { !$0.state.isOver && $0.id != record.id }
        if others.contains(where: { $0.networkNumbers.contains(where: next.networkNumbers.contains) }) {
            var generator = SystemRandomNumberGenerator()
            next.networkNumbers = try store.freeNetworkNumbers(next.specification.ownNetworkCount, using: &generator)
        }
        try update { $0 = next }
    }
}
