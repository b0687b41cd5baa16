import FabricProtocol
import FoundationEssentials
import HostFiles

/// Two networks between which traffic goes through appliances, or is impaired, as it is written down.
struct Passage: Codable, Equatable {
    /// Of its port in the fabric: machines' are lower.
    static let numbers: ClosedRange<UInt16> = 50_001...60_000

    var number: UInt16
    /// The inner ends of its appliances lead to the first.
    var networks: [String]
    /// From the first network to the second.
    var entries: [LineEntry]
    /// What becomes of frames behind those; nil: nothing.
    var impairment: WireImpairment?

    /// Whether it is as if it were not there.
    var isPlain: Bool { entries.isEmpty && impairment == nil }

    func joins(_ one: String, _ other: String) -> Bool { Set(networks) == [one, other] }

    /// Its ends in the fabric, and those of its appliances.
    var ports: [FabricPort] {
        var port = FabricPort(
            number: number, network: networks[1], hardwareAddress: FabricPort.upperStation(number))
        port.joined = networks[0]
        port.line = entries.compactMap(\.inline)
        port.mirrors = entries.filter { $0.outside == nil }.map(\.inside)
        port.impairment = impairment?.impairment
        return entries.flatMap(\.ends).map { FabricPort.end($0) } + [port]
    }

    /// Whether any of these machines is in one of its networks, or an appliance in it.
    func isNeeded(by machines: [MachineRecord], in store: MachineStore) -> Bool {
        machines.contains { machine in
            entries.flatMap(\.holders).contains { $0.machine == machine.id }
                || store.pluggedInterfaces(of: machine).contains { interface in
                    interface.interface.network.fabricNetwork.map(networks.contains) ?? false
                }
        }
    }
}

/// All of them, in a file of their own beside the networks, written by whoever holds the networks' lock.
struct Passages: Codable, Equatable {
    private static let fileName = ".between.json"

    var all: [Passage] = []

    /// - Throws: what cannot be read is not taken for nothing: an appliance may be there to protect.
    static func read(from folder: HostPath) throws(FleetError) -> Passages {
        let path = folder.appending(fileName)
        var bytes: [UInt8] = []
        do throws(HostFileError) { bytes = try path.readWhole(limit: 1 << 20) } catch {
            if error.isAbsent { return Passages() }
            throw FleetError(.damagedRecord, "what is between networks cannot be read: \(error)")
        }
        guard let passages = try? JSONDecoder().decode(Passages.self, from: Data(bytes)),
            passages.all.allSatisfy({ $0.networks.count == 2 && $0.entries.allSatisfy(\.isReadable) })
        else {
            throw FleetError(
                .damagedRecord,
                "\(path) does not say which appliances are between networks; remove it to have none there")
        }
        return passages
    }

    func write(to folder: HostPath) throws(FleetError) {
        let path = folder.appending(Self.fileName)
        try files { () throws(HostFileError) in
            if all.isEmpty {
                try path.removeFile()
            } else if let data = try? JSONEncoder().encode(self) {
                try path.replaceWhole([UInt8](data), mode: 0o600)
            }
        }
    }

    /// Of the two networks, made if there is none.
    mutating func place(_ networks: [String]) throws(FleetError) -> Int {
        if let place = all.firstIndex(where: { $0.joins(networks[0], networks[1]) }) { return place }
        guard let number = Passage.numbers.first(where: { number in !all.contains { $0.number == number } }) else {
            throw FleetError(.unusableNetwork, "there are appliances between \(all.count) networks, and no more can be")
        }
        all.append(Passage(number: number, networks: networks, entries: []))
        return all.count - 1
    }
}

extension MachineStore {
    private var passageFolder: HostPath { HostPath(paths.data).appending("networks") }

    func passages() throws(FleetError) -> Passages { try Passages.read(from: passageFolder) }

    /// For whoever only looks at what there is.
    func readablePassages() -> [Passage] { (try? passages())?.all ?? [] }

    func write(_ passages: Passages) throws(FleetError) { try passages.write(to: passageFolder) }
}
