import ArgumentParser
import FabricProtocol
import Fleet

struct PublishCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "publish", abstract: "Have ports of this computer lead to a machine in a network.",
        discussion: """
            At once, when the machine runs, and whenever it begins again, until `unpublish`. What has the port already is named, and
            nothing is changed. `run --publish` says the same when a machine is made.

            Examples:
              swiftlet publish web 8080:80
              swiftlet publish web 127.0.0.1:8080:80 5353:53/udp
              swiftlet publish web '[::1]:8080:80'
              swiftlet publish ftp 10000-10099:10000-10099
              swiftlet unpublish web 8080
            """)

    static let form = "[address:]port[-port]:port[-port][/udp]"

    @Argument(help: "The machine's name or id.", completion: Completions.machines) var machine: String
    @Argument(help: ArgumentHelp("This computer's ports, and the machine's.", valueName: form))
    var ports: [String]
    @OptionGroup var format: ErrorFormatOptions

    func run() throws {
        let wanted = try ports.map { try PublishedPort(parsing: $0) }
        try MachineRemote.setPublished(of: machine, in: Product.fleet.store) { published, record in
            if let again = wanted.first(where: published.contains) {
                throw CommandFailure(
                    "network.in-use", "\(again) is published for the machine \"\(record.name)\" already")
            }
            published += wanted
        }
    }
}

struct UnpublishCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unpublish", abstract: "Have ports of this computer lead to a machine no more.",
        discussion: """
            Connections that are open go on; new ones, and datagrams, find nobody.

            Examples:
              swiftlet unpublish web 8080
              swiftlet unpublish web 5353/udp 127.0.0.1:8080
              swiftlet unpublish --all web
            """)

    @Flag(name: [.short, .long], help: "All of its ports.") var all = false
    @Argument(help: "The machine's name or id.", completion: Completions.machines) var machine: String
    @Argument(
        help: ArgumentHelp(
            "What was published, or this computer's part of it.", valueName: "[address:]port[-port][:port][/udp]"))
    var ports: [String] = []
    @OptionGroup var format: ErrorFormatOptions

    func validate() throws {
        guard all != !ports.isEmpty else {
            throw ValidationError("say which ports: swiftlet unpublish \(machine) 8080, or all of them: --all")
        }
    }

    func run() throws {
        try MachineRemote.setPublished(of: machine, in: Product.fleet.store) { published, record in
            if all { return published = [] }
            for text in ports {
                guard let place = published.firstIndex(where: { $0.isCalled(text) }) else {
                    let present = published.map(\.description).joined(separator: ", ")
                    throw CommandFailure(
                        "network.unknown",
                        "\(text) is not published for the machine \"\(record.name)\""
                            + (present.isEmpty ? "; nothing is" : "; these are: \(present)"))
                }
                published.remove(at: place)
            }
        }
    }
}

/// Ports of this computer that lead to a machine, for programs: names that stay.
struct PublishedDocument: Encodable {
    /// As `unpublish` takes it.
    var name: String
    var transport: String
    /// This computer's; nil: all of them.
    var address: String?
    var port: UInt16
    var machinePort: UInt16
    /// How many, counted from these.
    var count: Int

    init(_ published: PublishedPort) {
        name = published.description
        transport = published.transport.rawValue
        address = published.address?.description
        port = published.ports.lowerBound
        machinePort = published.machinePort
        count = published.ports.count
    }
}
