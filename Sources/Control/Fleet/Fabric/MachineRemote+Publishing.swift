public import FabricProtocol
import FoundationEssentials
import HostFiles

extension MachineRemote {
    /// Changes which ports of this computer lead to a machine: of one that runs at once, and for the next time it begins.
    ///
    /// What is to be is written down first: who is killed in the middle leaves what `network repair` carries out.
    /// - Parameter change: from what is published to what is to be.
    public static func setPublished(
        of reference: String, in store: MachineStore, _ change: (inout [PublishedPort], MachineRecord) throws -> Void
    ) throws {
        let found = try store.find(reference)
        try store.withLimitsLock(found) {
            var record = try store.find(found.id)
            let before = record.specification.published
            try change(&record.specification.published, record)
            let wanted = record.specification.published
            if wanted == before { return }
            try record.specification.checkPublished(store.presentInterfaces(of: record))
            guard !record.state.isOver, record.state != .restarting else { return try store.write(wanted, of: record) }
            try store.checkPublished(wanted, besides: record.id)
            try store.write(wanted, of: record)
            do {
                guard let launcher = try Launchers.running(store.paths) else { return }
                try FabricControl(launcher: launcher, store: store).publish(record, insteadOf: before)
            } catch {
                try? store.write(before, of: record)
                throw error
            }
        }
    }
}

extension MachineSpecification {
    /// What can be known of published ports without looking at other machines.
    /// - Parameter interfaces: nil: its own.
    func checkPublished(_ interfaces: [MachineInterface]? = nil) throws(FleetError) {
        let published = published
        if published.isEmpty { return }
        let networks = (interfaces ?? self.interfaces).filter { $0.network.fabricNetwork != nil }
        guard !networks.isEmpty else {
            throw FleetError(
                .invalidSetting,
                "ports are published for machines in a network (swiftlet network create lan, then --network lan), and this one is in none"
            )
        }
        guard let led = networks.first(where: { $0.gateways != nil }), networks.allSatisfy({ $0.gateways != nil })
        else {
            return try checkEach()
        }
        throw FleetError(
            .invalidSetting,
            "this computer does not lead into \"\(led.network.fabricNetwork ?? "")\", whose gateway is a machine; publish a port of that one, and have it forward that"
        )
    }

    private func checkEach() throws(FleetError) {
        let published = published
        guard published.reduce(0, { $0 + $1.ports.count }) <= PublishedPort.mostOfPort else {
            throw FleetError(
                .invalidSetting, "a machine has at most \(PublishedPort.mostOfPort) published ports (--publish)")
        }
        for (place, one) in published.enumerated() {
            guard let other = published[..<place].first(where: one.overlaps) else { continue }
            throw FleetError(
                .invalidSetting, "\(other) and \(one) want one port of this computer; publish each once (--publish)")
        }
    }
}

/// The published ports of a machine that were changed after it was made, in a file beside its record, as changed limits are.
extension MachineStore {
    private static let publishedFile = "published.json"

    /// Nil where nobody has changed any.
    static func changedPublished(in folder: HostPath) -> [PublishedPort]? {
        read([String].self, from: folder.appending(publishedFile))?.compactMap { try? PublishedPort(parsing: $0) }
    }

    func write(_ published: [PublishedPort], of record: MachineRecord) throws(FleetError) {
        try write(published.map(\.description), Self.publishedFile, of: record)
    }

    /// - Throws: when a machine that runs has one of the ports. Of those that begin together the fabric takes the first.
    func checkPublished(_ wanted: [PublishedPort], besides id: String = "") throws(FleetError) {
        if wanted.isEmpty { return }
        for machine in list() where [.running, .paused].contains(machine.state) && machine.id != id {
            for other in machine.specification.published {
                guard let one = wanted.first(where: other.overlaps) else { continue }
                throw FleetError(
                    .unusableNetwork,
                    "\(one) cannot be published: this computer's port leads to the machine \"\(machine.name)\" (\(other)); choose another one, or take it away there: swiftlet unpublish \(machine.name) \(other)"
                )
            }
        }
    }
}

extension OwnedMachine {
    /// For the owner, when the program runs: what somebody has changed since it was plugged in, rules as well.
    func catchUpWithPublished(_ fabric: FabricControl) {
        let (before, rules) = (record.specification.published, record.specification.egress)
        takeChangedLimits()
        if record.specification.published != before {
            try? fabric.publish(record, insteadOf: before)
        } else if record.specification.egress != nil || rules != nil {
            try? fabric.plugAsWritten(record)
        }
    }
}
