import FabricProtocol
import Networks

/// Finds the links of the fabric that people mean.
struct CaptureHops {
    let store: MachineStore
    let fabric: FabricControl

    /// - Parameters:
    ///   - targets: `MACHINE`, `MACHINE:INTERFACE`, or a network; with `@` before it, it is never a machine. Four words `between`,
    ///     `NETWORK`, `and`, `NETWORK` are a wire, at the first one's end. What places are called in a capture or a trace is
    ///     understood as well: `MACHINE:INTERFACE@NETWORK`, `NETWORK-NETWORK` and `NETWORK-NETWORK@NETWORK`.
    ///   - alongWires: with a machine's interface come the ends of each appliance in its wire, and the network's end of that.
    func find(_ targets: [String], alongWires: Bool) throws(FleetError) -> [CaptureRequest.Place] {
        var places: [CaptureRequest.Place] = []
        var rest = targets[...]
        while let target = rest.popFirst() {
            let found =
                try target == "between"
                ? self.places(between: Self.networks(&rest), alongWires)
                : self.places(of: target, alongWires: alongWires)
            for place in found
            where !places.contains(where: { $0.device == place.device }) { places.append(place) }
        }
        guard places.count <= CaptureRequest.mostPlaces else {
            throw FleetError(
                .invalidSetting,
                "at most \(CaptureRequest.mostPlaces) places are looked at in one go, not \(places.count)")
        }
        return places
    }

    /// The two that are named behind the word `between`.
    private static func networks(_ rest: inout ArraySlice<String>) throws(FleetError) -> (one: String, other: String) {
        let words = Array(rest.prefix(3))
        guard words.count == 3, words[1] == "and" else {
            throw FleetError(.invalidSetting, "say which networks: swiftlet capture between NETWORK and NETWORK")
        }
        rest = rest.dropFirst(3)
        return (words[0], words[2])
    }

    /// The end at the first one; along the wire the ends of appliances in it, and that at the other one.
    private func places(
        between networks: (one: String, other: String), _ alongWires: Bool
    ) throws(FleetError) -> [CaptureRequest.Place] {
        let known = store.networks.list().map(\.name)
        for name in [networks.one, networks.other] where !known.contains(name) {
            throw FleetError(
                .unusableNetwork, "there is no network \"\(name)\"; `swiftlet network ls` shows what there is")
        }
        guard let passage = try store.passages().all.first(where: { $0.joins(networks.one, networks.other) }) else {
            throw FleetError(
                .invalidSetting,
                "nothing is between \(networks.one) and \(networks.other): what goes from one to the other is seen at each of them (swiftlet capture \(networks.one) \(networks.other))"
            )
        }
        let port = FabricPort.end(passage.number)
        let wire = passage.networks.joined(separator: "-")
        func place(_ network: String) -> CaptureRequest.Place {
            CaptureRequest.Place(
                device: network == passage.networks[0] ? port.tap : port.wireEnd, name: "\(wire)@\(network)",
                description: "the wire between \(passage.networks[0]) and \(passage.networks[1]), at \(network)",
                arrivesFromIt: true)
        }
        let first = place(networks.one)
        if !alongWires { return [first] }
        var places: [CaptureRequest.Place] = []
        for entry in passage.entries where !entry.isBypassed {
            let appliance = try? store.find(entry.machine)
            for number in entry.ends {
                let known = appliance?.interfaces.first { $0.portNumber == number }?.guestName
                let side = number == entry.inside ? passage.networks[0] : passage.networks[1]
                places.append(
                    end(
                        number, "\(entry.name):\(known ?? "\(number)")",
                        "\(entry.name) between \(passage.networks[0]) and \(passage.networks[1]), towards \(side)"))
            }
        }
        if networks.one != passage.networks[0] { places.reverse() }
        return [first] + places + [place(networks.other)]
    }

    /// The networks whose wire it is, the one at whose end it is meant first.
    private func wire(called name: String) throws(FleetError) -> (one: String, other: String)? {
        for passage in try store.passages().all {
            let (one, other) = (passage.networks[0], passage.networks[1])
            let wire = "\(one)-\(other)"
            if name == wire || name == "\(wire)@\(one)" { return (one, other) }
            if name == "\(wire)@\(other)" { return (other, one) }
        }
        return nil
    }

    private func places(of target: String, alongWires: Bool) throws(FleetError) -> [CaptureRequest.Place] {
        let halves = target.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let networks = store.networks.list()
        if target.hasPrefix("@") {
            guard let network = networks.first(where: { $0.name == target.dropFirst() }) else {
                throw FleetError(
                    .unusableNetwork,
                    "there is no network \"\(target.dropFirst())\"; `swiftlet network ls` shows what there is")
            }
            return [place(of: network)]
        }
        let network = networks.first { $0.name == target }
        let isMachine = store.list().contains { $0.name == halves[0] }
        if let network {
            guard !isMachine else {
                throw FleetError(
                    .ambiguousReference,
                    "\"\(target)\" is a machine and a network; say @\(target) for the network, or \(target):eth0 for the machine"
                )
            }
            return [place(of: network)]
        }
        if !isMachine, let wire = try wire(called: target) { return try places(between: wire, alongWires) }
        do throws(FleetError) {
            return try places(of: try store.findRunning(halves[0]), halves.count == 2 ? halves[1] : nil, alongWires)
        } catch {
            guard error.code == .unknownMachine else { throw error }
            throw FleetError(
                error.code,
                "no machine or network is called \"\(halves[0])\"; `swiftlet ps` and `swiftlet network ls` show what there is"
            )
        }
    }

    private func place(of network: NetworkRecord) -> CaptureRequest.Place {
        CaptureRequest.Place(
            device: network.fabricNetwork(nameServers: []).bridge, name: network.name,
            description: "the network \(network.name), \(network.prefixes.joined(separator: ", "))",
            arrivesFromIt: false)
    }

    private func places(
        of record: MachineRecord, _ name: String?, _ alongWires: Bool
    ) throws(FleetError) -> [CaptureRequest.Place] {
        let plugged = fabric.interfaces(of: record).filter { $0.portNumber != nil }
        guard !plugged.isEmpty else {
            throw FleetError(
                .invalidSetting,
                "\"\(record.name)\" is in no network whose packets can be seen; it is with --network NAME (swiftlet network create NAME), or at once by swiftlet network connect NAME \(record.name)"
            )
        }
        // What stands behind an @ is the network that the wire leads to: its end there is meant, and nothing else.
        let parts = name?.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false).map(String.init) ?? []
        let outer = parts.count == 2 ? parts[1] : nil
        let chosen = plugged.filter { interface in
            (name == nil || interface.guestName == parts[0] || interface.place == parts[0])
                && (outer == nil || interface.interface.network.fabricNetwork == outer)
        }
        guard !chosen.isEmpty else {
            let names = plugged.map { "\(record.name):\($0.guestName)" }.joined(separator: ", ")
            throw FleetError(
                .invalidSetting, "\"\(record.name)\" has no interface \"\(name ?? "")\" in a network; there is \(names)"
            )
        }
        var places: [CaptureRequest.Place] = []
        for interface in chosen {
            guard let number = interface.portNumber else { continue }
            let own = "\(record.name):\(interface.guestName)"
            if outer == nil { places.append(end(number, own, Self.description(interface, of: record))) }
            guard alongWires || outer != nil, let network = interface.interface.network.fabricNetwork else { continue }
            for entry in try store.line(of: record).entries(interface) where outer == nil && !entry.isBypassed {
                let appliance = try? store.find(entry.machine)
                for number in entry.ends {
                    let known = appliance?.interfaces.first { $0.portNumber == number }?.guestName
                    let side = number == entry.inside ? "towards the machine" : "towards the network"
                    places.append(
                        end(
                            number, "\(entry.name):\(known ?? "\(number)")",
                            entry.outside == nil
                                ? "\(entry.name), which gets copies of what \(own) sends and gets"
                                : "\(entry.name) in the wire of \(own), \(side)"))
                }
            }
            var wireEnd = end(number, "\(own)@\(network)", "the wire of \(own) at the network \(network)")
            wireEnd.device = FabricPort.end(number).wireEnd
            places.append(wireEnd)
        }
        return places
    }

    private func end(_ number: UInt16, _ name: String, _ description: String) -> CaptureRequest.Place {
        CaptureRequest.Place(
            device: FabricPort.tap(number), name: name, description: description, arrivesFromIt: true)
    }

    private static func description(_ interface: AssignedInterface, of record: MachineRecord) -> String {
        guard let network = interface.interface.network.fabricNetwork else {
            return "the end \(interface.guestName) for wires of \(record.name)"
        }
        let addresses = interface.guestAddresses.map(\.address) + [interface.hardwareAddress]
        return
            "\(interface.guestName) of \(record.name), \(addresses.joined(separator: ", ")), in the network \(network)"
    }
}
