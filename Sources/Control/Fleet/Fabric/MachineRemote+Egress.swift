public import FabricProtocol
import HostFiles

extension MachineRemote {
    /// Changes what a machine may open connections to outside of its networks: of one that runs at once, also for connections that
    /// are open, and for the next time it begins.
    ///
    /// What is to be is written down first: who is killed in the middle leaves what `network repair` carries out.
    public static func setEgress(
        of reference: String, in store: MachineStore, _ change: (inout [EgressRule]?, MachineRecord) throws -> Void
    ) throws {
        let found = try store.find(reference)
        try store.withLimitsLock(found) {
            var record = try store.find(found.id)
            let before = record.specification.egress
            try change(&record.specification.egress, record)
            let wanted = record.specification.egress
            if wanted == before { return }
            try record.specification.checkEgress(store.presentInterfaces(of: record))
            try store.write(ChangedEgress(wanted), of: record)
            guard !record.state.isOver, record.state != .restarting else { return }
            do {
                guard let launcher = try Launchers.running(store.paths) else { return }
                try FabricControl(launcher: launcher, store: store).plugAsWritten(record)
            } catch {
                try? store.write(ChangedEgress(before), of: record)
                throw error
            }
        }
    }
}

extension MachineSpecification {
    /// What can be known of rules without looking at other machines.
    /// - Parameter interfaces: nil: its own.
    func checkEgress(_ interfaces: [MachineInterface]? = nil) throws(FleetError) {
        guard let egress else { return }
        guard egress.count <= EgressPolicy.mostRules else {
            throw FleetError(
                .invalidSetting, "a machine has at most \(EgressPolicy.mostRules) rules of what it may reach (--egress)"
            )
        }
        let networks = (interfaces ?? self.interfaces).map(\.network)
        guard networks.allSatisfy({ !$0.leadsPastFabric }), networks.contains(where: { $0.fabricNetwork != nil }) else {
            throw FleetError(
                .invalidSetting,
                "what a machine may reach is looked after in networks (swiftlet network create lan, then --network lan), and this one is in none, or has another way out (tap)"
            )
        }
    }
}

extension EgressRule {
    /// Reads what people write, in letters of any case.
    public init(written text: String) throws(FleetError) {
        do throws(FabricFault) { try self.init(parsing: text.lowercased()) } catch {
            throw FleetError(.invalidSetting, error.description)
        }
    }

    /// Reads rules, of which `none` alone stands for nothing at all.
    public static func list(written texts: [String]) throws(FleetError) -> [EgressRule] {
        if texts.map({ $0.lowercased() }) == ["none"] { return [] }
        var rules: [EgressRule] = []
        for text in texts {
            let rule = try EgressRule(written: text)
            if !rules.contains(rule) { rules.append(rule) }
        }
        return rules
    }
}

/// The rules of a machine that were changed after it was made, in a file beside its record, as changed limits are.
struct ChangedEgress: Codable {
    /// Nil: it may reach everything.
    private var texts: [String]?

    init(_ rules: [EgressRule]?) { texts = rules?.map(\.description) }

    var rules: [EgressRule]? { texts?.compactMap { try? EgressRule(parsing: $0) } }
}

extension MachineStore {
    private static let egressFile = "egress.json"

    /// Nil where nobody has changed any. What cannot be read lets nothing out.
    static func changedEgress(in folder: HostPath) -> ChangedEgress? {
        let path = folder.appending(egressFile)
        return path.exists ? read(ChangedEgress.self, from: path) ?? ChangedEgress([]) : nil
    }

    func write(_ egress: ChangedEgress, of record: MachineRecord) throws(FleetError) {
        try write(egress, Self.egressFile, of: record)
    }

    /// What a machine with rules has opened and was refused: lines of JSON.
    public func egressLog(of record: MachineRecord) -> String { "\(folder(record.id).appending("egress.log"))" }
}
