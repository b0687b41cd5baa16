import ArgumentParser
import Fleet
import Networks

struct TopologyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "topology", abstract: "Draw networks, the machines in them, and what is in their wires.",
        discussion: """
            Each machine hangs on its network by its wire; appliances stand in it as packets from the network meet them.
            (name) is gone around, [name] gets copies, !name stops what comes. ← names the ports of this computer that lead there.

            Examples:
              swiftlet topology
              swiftlet topology --rates
              swiftlet topology --svg > fabric.svg
            """)

    @Flag(help: "Count for a second what goes over each wire.") var rates = false
    @Flag(help: "Print a picture (SVG).") var svg = false
    @OptionGroup var format: FormatOptions

    func validate() throws {
        guard !(svg && format.isJSON) else { throw ValidationError("--svg and --json contradict each other") }
    }

    func run() throws {
        let topology = Topology(NetworkCommand.store.list(), Product.fleet.wires(measuringFor: rates ? 1 : 0))
        if format.isJSON { return Output.json(topology) }
        Output.line(svg ? TopologyPicture(topology).text : topology.text)
    }
}

/// What there is of networks and machines in them, for programs: names that stay.
struct Topology: Encodable {
    struct Machine: Encodable {
        var name: String
        var interface: String
        var addresses: [String]
        var isRunning: Bool
        /// This computer's that lead there.
        var publishedPorts: [PublishedDocument]
        /// From the machine to the network.
        var appliances: [WireDocument.Appliance]
        /// Nil where nothing becomes of packets.
        var impairment: WireDocument.Impaired?
        /// Nil where it was not counted.
        var bytesPerSecondOut: UInt64?
        var bytesPerSecondIn: UInt64?
    }

    struct Network: Encodable {
        var name: String
        var subnets: [String]
        var reachesOutside: Bool
        var reaches: [String]
        /// Of machines that lead out of it; nil where the network does.
        var gatewayMachines: [String]?
        var machines: [Machine]
    }

    /// What is between two networks.
    struct Passage: Encodable {
        var networks: [String]
        /// From the first to the second.
        var appliances: [WireDocument.Appliance]
        /// Nil where nothing becomes of packets; `toMachine` is to the first.
        var impairment: WireDocument.Impaired?
    }

    var networks: [Network]
    var between: [Passage]

    init(_ records: [NetworkRecord], _ wires: [WireState]) {
        between = wires.compactMap { wire in
            wire.between.map {
                let document = WireDocument(wire)
                return Passage(
                    networks: $0, appliances: document.appliances, impairment: document.impairment)
            }
        }
        networks = records.map { record in
            let machines = wires.filter { $0.between == nil && $0.network == record.name }.sorted {
                ($0.machine, $0.interface) < ($1.machine, $1.interface)
            }
            return Network(
                name: record.name, subnets: record.prefixes, reachesOutside: record.reachesOutside,
                reaches: record.reachableNetworks,
                gatewayMachines: record.gateways.map { gateways in
                    machines.filter { $0.addresses.contains(where: gateways.contains) }.map(\.machine)
                },
                machines: machines.map { wire in
                    Machine(
                        name: wire.machine, interface: wire.interface, addresses: wire.addresses,
                        isRunning: wire.isRunning, publishedPorts: wire.published.map(PublishedDocument.init),
                        appliances: WireDocument(wire).appliances, impairment: WireDocument(wire).impairment,
                        bytesPerSecondOut: wire.traffic?.out, bytesPerSecondIn: wire.traffic?.in)
                })
        }
    }

    /// For a terminal.
    var text: String {
        var lines: [String] = []
        for network in networks {
            lines.append(
                ([network.name] + [network.subnets.joined(separator: ", "), network.ways]).filter { !$0.isEmpty }
                    .joined(separator: "  "))
            for (place, machine) in network.machines.enumerated() {
                let branch = place == network.machines.count - 1 ? "└─" : "├─"
                lines.append("\(branch) " + machine.line)
            }
        }
        lines += between.map { $0.marks.joined(separator: " ─ ") }
        return lines.isEmpty ? "no networks; make one: swiftlet network create lan" : lines.joined(separator: "\n")
    }
}

extension Topology.Network {
    /// Where its machines get to.
    var ways: String {
        let ways = (reachesOutside ? ["outside"] : []) + reaches + (gatewayMachines ?? [])
        return ways.isEmpty ? "" : "→ " + ways.joined(separator: ", ")
    }
}

extension Topology.Passage {
    var marks: [String] {
        [networks[0]] + appliances.map(\.mark) + (impairment.map { [$0.mark] } ?? []) + [networks[1]]
    }
}

extension Topology.Machine {
    /// As packets from the network meet them.
    var marks: [String] { (impairment.map { [$0.mark] } ?? []) + appliances.reversed().map(\.mark) }

    /// What leads there from this computer; nil: nothing.
    var ports: String? {
        publishedPorts.isEmpty ? nil : "← " + publishedPorts.map(\.name).joined(separator: ", ")
    }

    var line: String {
        var words = [(marks + ["\(name):\(interface)"]).joined(separator: " ─ ")] + addresses
        if let ports { words.append(ports) }
        if !isRunning { words.append("(does not run)") }
        if let rates { words.append(rates) }
        return words.joined(separator: "  ")
    }

    var rates: String? {
        guard let bytesPerSecondIn, let bytesPerSecondOut else { return nil }
        return "in \(Units.size(bytesPerSecondIn))/s, out \(Units.size(bytesPerSecondOut))/s"
    }
}

extension WireDocument.Appliance {
    var mark: String {
        switch state {
        case "inline": name
        case "looking": "[\(name)]"
        case "stopping": "!\(name)"
        case "ended": failsOpen == true ? "(\(name))" : "!\(name)"
        default: "(\(name))"
        }
    }
}
