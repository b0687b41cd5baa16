import ArgumentParser
import Fleet
import Networks

struct NetworkUpdateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "update", abstract: "Change what a network reaches.",
        discussion: """
            It counts at once, also for machines that run. Connections that are open go on.

            Examples:
              swiftlet network update --reach dmz inside
              swiftlet network update --no-reach dmz inside
            """)

    @Option(
        help: ArgumentHelp(
            "A network to whose machines it may open connections from now on. May be repeated.", valueName: "network"),
        completion: Completions.networkNames)
    var reach: [String] = []
    @Option(
        help: ArgumentHelp(
            "One to whose machines it may open none from now on. May be repeated.", valueName: "network"),
        completion: Completions.networkNames)
    var noReach: [String] = []
    @Argument(help: "The network's name.", completion: Completions.networkNames) var network: String
    @OptionGroup var format: FormatOptions

    func validate() throws {
        if reach.isEmpty, noReach.isEmpty { throw ValidationError("say what is to change: --reach, --no-reach") }
    }

    func run() throws {
        let record = try Product.fleet.updateNetwork(network, reaching: reach, notReaching: noReach)
        if format.isJSON { return Output.json(NetworkDocument(record)) }
        Output.line(record.name)
    }
}
