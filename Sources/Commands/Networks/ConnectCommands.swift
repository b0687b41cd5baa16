import ArgumentParser
import Fleet

struct NetworkConnectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "connect", abstract: "Put a machine into a network.",
        discussion: """
            One that runs gets an interface at once, and its addresses there are printed; one that does not run has it when it begins.
            It stays in the network until it is taken out again.

            Examples:
              swiftlet network connect lan web
              swiftlet network connect --address 10.190.0.9 lan web
              swiftlet network disconnect lan web
            """)

    @Option(
        help: ArgumentHelp(
            "The address that it is to have there; the lowest that is free if not given.", valueName: "address"))
    var address: String?
    @Option(help: ArgumentHelp("Its hardware address; one of its own if not given.", valueName: "address"))
    var mac: String?
    @Argument(help: "The network's name.", completion: Completions.networkNames) var network: String
    @Argument(help: "The machine's name or id.", completion: Completions.machines) var machine: String
    @OptionGroup var format: FormatOptions

    func run() throws {
        // Before the machine is looked at, so that it is known which of the two is not there.
        _ = try NetworkCommand.store.find(network)
        let words = [network] + (address.map { ["address=\($0)"] } ?? []) + (mac.map { ["mac=\($0)"] } ?? [])
        let interface = try MachineInterface(parsing: words.joined(separator: ","))
        let connected = try MachineRemote.connect(interface, to: machine, in: Product.fleet.store)
        guard case .fabric(_, let addresses) = connected.network else { return }
        if format.isJSON {
            struct Document: Encodable {
                var addresses: [String]
                var hardwareAddress: String?
            }
            return Output.json(
                Document(addresses: addresses.map(\.description), hardwareAddress: connected.hardwareAddress))
        }
        Output.line(addresses.map(\.address).joined(separator: " "))
    }
}

struct NetworkDisconnectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "disconnect", abstract: "Take a machine out of a network.",
        discussion: """
            The guest of one that runs lets go of its interface first. One that does not run is not in the network when it begins.

            Examples:
              swiftlet network disconnect lan web
              swiftlet network disconnect --force lan web
            """)

    @Flag(help: "Also when the guest does not answer: as a cable is pulled.") var force = false
    @Argument(help: "The network's name.", completion: Completions.networkNames) var network: String
    @Argument(help: "The machine's name or id.", completion: Completions.machines) var machine: String
    @OptionGroup var format: ErrorFormatOptions

    func run() throws {
        _ = try NetworkCommand.store.find(network)
        try MachineRemote.disconnect(network, from: machine, in: Product.fleet.store, isForced: force)
    }
}
