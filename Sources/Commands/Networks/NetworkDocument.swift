import FabricProtocol
import Fleet
import Networks

/// A network, for programs: names that stay.
struct NetworkDocument: Encodable {
    struct Machine: Encodable {
        var name: String
        var addresses: [String]
        var hardwareAddress: String
        var isRunning: Bool
        /// Ports of this computer that lead to these addresses.
        var publishedPorts: [PublishedDocument]
    }

    var name: String
    var subnets: [String]
    /// The network's own address in each, or those of machines that lead out of it.
    var gateways: [String]
    /// Who leads out of it: `network`, `machine` or `nobody`.
    var gatewayKind: String
    /// The machine that has the address for it now; nil where none has, or the network leads out itself.
    var gatewayMachine: String?
    var mtu: UInt32
    /// Whether its machines reach what lies outside of this computer.
    var reachesOutside: Bool
    /// Rules of this computer that drop what goes out, as family, table and chain, and its switch for forwarding IPv6 where the network
    /// has that and the switch is off; empty where none does, or nothing runs.
    var outsideForbiddenBy: [String] = []
    /// The networks to whose machines they may open connections.
    var reaches: [String]
    /// Whether its machines see the gateway only.
    var isPrivate: Bool
    /// What names in it end with; nil where the network gives none.
    var domain: String?
    /// Who is asked for other names; nil: whom this computer asks.
    var nameServers: [String]?
    /// Whose it is; nil: nobody's.
    var tenant: String?
    var labels: [String: String]
    var created: String
    /// Those that are in it, and those that will be when they begin again.
    var machines: [Machine]
    let createdSeconds: Int64

    enum CodingKeys: String, CodingKey {
        case name, subnets, gateways, gatewayKind, gatewayMachine, mtu, reachesOutside, outsideForbiddenBy, reaches,
            isPrivate, nameServers, domain, tenant, labels, created, machines
    }

    init(_ record: NetworkRecord) {
        name = record.name
        subnets = record.prefixes
        gateways = record.gatewayAddresses.map(\.description)
        gatewayKind = record.gateways.map { $0.isEmpty ? "nobody" : "machine" } ?? "network"
        mtu = record.maximumTransmissionUnit
        reachesOutside = record.reachesOutside
        reaches = record.reachableNetworks
        isPrivate = record.isPrivate
        domain = record.isRouted ? record.fabricNetwork(nameServers: []).domain : nil
        nameServers = record.nameServers
        tenant = record.tenant
        labels = record.labels
        created = Timestamp.text(seconds: record.createdSeconds)
        createdSeconds = record.createdSeconds
        machines = Product.fleet.store.machines(in: record.name).flatMap { machine in
            let store = Product.fleet.store
            let interfaces = store.pluggedInterfaces(of: machine)
            let published = store.publishedInterface(of: machine, interfaces)?.interface
            return interfaces.filter { $0.interface.network.fabricNetwork == record.name }.map { interface in
                Machine(
                    name: machine.name, addresses: interface.guestAddresses.map(\.address),
                    hardwareAddress: interface.hardwareAddress, isRunning: !machine.state.isOver,
                    publishedPorts: published == interface
                        ? machine.specification.published.map(PublishedDocument.init) : [])
            }
        }
        guard gatewayKind == "machine" else { return }
        gatewayMachine = machines.first { $0.addresses.contains(where: gateways.contains) }?.name
    }

    /// Where its machines get to, for people.
    var reaching: [String] {
        if gatewayKind == "machine" { return ["what \(gatewayMachine ?? gateways.joined(separator: ", ")) lets pass"] }
        return (reachesOutside ? ["outside"] : []) + reaches
    }
}
