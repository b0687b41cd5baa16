import AgentProtocol
import ArgumentParser
import FabricProtocol
import Fleet
import Networks

struct NetworkCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "network",
        abstract: "Make, list, inspect, change and remove networks between machines, and put machines into them.",
        discussion: """
            Examples:
              swiftlet network create lan
              swiftlet run -d --name web --network lan nginx
              swiftlet run --rm --network lan busybox wget -qO- http://web/
            """,
        subcommands: [
            NetworkCreateCommand.self, NetworkListCommand.self, NetworkInspectCommand.self, NetworkUpdateCommand.self,
            NetworkRemoveCommand.self, NetworkConnectCommand.self, NetworkDisconnectCommand.self,
            NetworkRepairCommand.self,
        ])

    static var store: NetworkStore { Product.fleet.store.networks }
}

struct NetworkCreateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Make a network.",
        discussion: """
            Machines in it find one another by their names, and reach what lies outside of this computer. Nothing reaches
            them from another network, unless that one is told to (--reach). A DMZ is a network that others reach and that
            reaches none of them.

            With --gateway a machine leads out of the network: the one that is started with that address (--network inside,address=10.0.1.1).
            Others there are told to ask it for what is elsewhere and for names, and nothing else leads in or out.

            Examples:
              swiftlet network create lan
              swiftlet network create --subnet 10.20.0.0/16 --ipv6 office
              swiftlet network create dmz && swiftlet network create --reach dmz inside
              swiftlet network create --isolated --private tests
              swiftlet network create --subnet 10.0.1.0/24 --gateway 10.0.1.1 inside
              swiftlet network create --tenant acme acme-lan
            """)

    @Option(
        help: ArgumentHelp(
            "Its addresses, one subnet of IPv4 and one of IPv6 at most; one of 10.190.0.0/16 if not given.",
            valueName: "prefix"))
    var subnet: [String] = []
    @Flag(help: "With addresses of IPv6, of its own choice unless --subnet gives them.") var ipv6 = false
    @Option(help: ArgumentHelp("The longest packet, in bytes.", valueName: "bytes")) var mtu: UInt32 = 1500
    @Flag(help: "No way out of this computer.") var isolated = false
    @Flag(name: .customLong("private"), help: "Its machines do not reach one another.") var isPrivate = false
    @Option(
        help: ArgumentHelp(
            "A network to whose machines it may open connections. May be repeated.", valueName: "network"),
        completion: Completions.networkNames)
    var reach: [String] = []
    @Option(
        help: ArgumentHelp(
            "Who leads out of it: a machine, by its address there (one of IPv4 and one of IPv6 at most), or none. The network itself if not given.",
            valueName: "address|none"))
    var gateway: [String] = []
    @Option(
        help: ArgumentHelp(
            "Who is asked for names that are not its own, in place of whom this computer asks. May be repeated.",
            valueName: "address"))
    var dns: [String] = []
    @Option(
        help: "Whose it is: networks of two tenants never meet, in no machine either.", completion: Completions.tenants)
    var tenant: String?
    @Option(name: [.short, .long], help: ArgumentHelp("A label. May be repeated.", valueName: "name[=value]"))
    var label: [String] = []
    @Argument(help: "What it is to be called.") var name: String
    @OptionGroup var format: FormatOptions

    func run() throws {
        var wish = NetworkStore.Wish()
        wish.prefixes = try subnet.map { text in
            guard let prefix = NetworkPrefix(text) else {
                throw CommandFailure(
                    "network.invalid-setting",
                    "\"\(text)\" is no subnet; write it as --subnet 10.20.0.0/16 or --subnet fd00:20::/64")
            }
            return prefix
        }
        wish.hasIPv6 = ipv6
        wish.maximumTransmissionUnit = mtu
        wish.reachesOutside = !isolated
        wish.isPrivate = isPrivate
        wish.reachableNetworks = reach
        wish.gateways = try gateways()
        if !dns.isEmpty {
            wish.nameServers = try dns.map { text in
                guard let address = IPAddress(text) else {
                    throw CommandFailure("network.invalid-setting", "\"\(text)\" is no address; --dns takes 9.9.9.9")
                }
                return address
            }
        }
        wish.labels = try ContainerOptions.labels(label)
        wish.tenant = tenant
        let record = try NetworkCommand.store.create(name, wish)
        if !isolated, let missing = Product.fleet.missingWayOut { Output.error("swiftlet: \(missing)") }
        if format.isJSON { return Output.json(NetworkDocument(record)) }
        Output.line(name)
    }

    /// Nil: the network itself leads out.
    private func gateways() throws -> [IPAddress]? {
        if gateway.isEmpty { return nil }
        if gateway == ["none"] { return [] }
        return try gateway.map { text in
            guard let address = IPAddress(text) else {
                throw CommandFailure(
                    "network.invalid-setting",
                    "\"\(text)\" is no gateway; write the address of the machine that is to be it, as --gateway 10.0.1.1, or --gateway none"
                )
            }
            return address
        }
    }
}

struct NetworkListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List networks.", discussion: "Example:\n  swiftlet network ls", aliases: ["ls"])
    @Flag(name: [.short, .long], help: "Print the names only.") var quiet = false
    @Option(help: "Those of one tenant.", completion: Completions.tenants) var tenant: String?
    @OptionGroup var format: FormatOptions

    func run() throws {
        let records = NetworkCommand.store.list()
        let documents = records.filter { tenant == nil || $0.tenant == tenant }.map(NetworkDocument.init)
        if format.isJSON { return quiet ? Output.json(documents.map(\.name)) : Output.json(documents) }
        if quiet { return documents.forEach { Output.line($0.name) } }
        // A column for those who have tenants.
        let hasTenants = records.contains { $0.tenant != nil }
        var table = Table(["NAME"] + (hasTenants ? ["TENANT"] : []) + ["SUBNETS", "REACHES", "MACHINES", "CREATED"])
        for document in documents {
            let tenant = hasTenants ? [document.tenant ?? "-"] : []
            table.add(
                [document.name] + tenant + [
                    document.subnets.joined(separator: ", "), document.reaching.joined(separator: ", "),
                    "\(document.machines.count)", Units.since(document.createdSeconds),
                ])
        }
        Output.line(table.text)
    }
}

struct NetworkInspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Print all that is known about networks, as JSON.",
        discussion: "Example:\n  swiftlet network inspect lan")
    @Argument(help: "Names.", completion: Completions.networkNames) var networks: [String]
    @OptionGroup var format: FormatOptions

    func run() throws {
        try collect(networks, asJSON: format.isJSON) { name in
            var document = NetworkDocument(try NetworkCommand.store.find(name))
            if document.reachesOutside {
                let families = document.subnets.compactMap { NetworkPrefix($0)?.family }
                document.outsideForbiddenBy = Product.fleet.outsideHindrances(of: families)
            }
            return document
        }
    }
}

struct NetworkRemoveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "Remove networks that no machine is in.",
        discussion: "Example:\n  swiftlet network rm lan", aliases: ["rm"])
    @Flag(name: [.short, .long], help: "Also one whose record cannot be read.") var force = false
    @Argument(help: "Names.", completion: Completions.networkNames) var networks: [String]
    @OptionGroup var format: FormatOptions

    func run() throws {
        try forEach(networks, asJSON: format.isJSON) { try Product.fleet.removeNetwork($0, isForced: force) }
    }
}

struct NetworkRepairCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "repair", abstract: "Put the networks of machines that run right.",
        discussion: """
            Bridges, devices, rules and names that are missing are made, and what no machine needs any more is taken away:
            after somebody else has changed them, or when a machine was killed. Machines keep their connections; those
            whose wires were destroyed are named, and are to be begun again.

            Example:
              swiftlet network repair
            """)
    @OptionGroup var format: FormatOptions

    private struct Document: Encodable {
        /// How many wires of machines there are, and between how many networks.
        var wires: Int
        var networks: Int
    }

    func run() throws {
        let (wires, networks) = try Product.fleet.repairNetworks(report: Output.error)
        if format.isJSON { return Output.json(Document(wires: wires, networks: networks)) }
        Output.line("the fabric is as it was declared: \(wires) wires, \(networks) networks")
    }
}
