import ApplianceSettings
import ArgumentParser
import Fleet

struct ResetCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reset", abstract: "Take a machine, and its settings, back to the factory state.",
        discussion: """
            The settings become those that they were made with: the schema's defaults, or what the machine was given when it was
            set up. What was set since is gone for good, secrets and history too. A machine that runs boots anew, and has
            nothing of its memory left. Volumes stay.
            Example:
              swiftlet reset fw
            """)
    @Argument(help: "Machines, or settings.", completion: Completions.resettable) var names: [String]
    @OptionGroup var format: FormatOptions

    func run() throws {
        try forEach(names, asJSON: format.isJSON) { try Self.reset($0) }
    }

    private static func reset(_ name: String) throws {
        let machine = try? Product.fleet.store.find(name)
        let settings = machine?.specification.settingsName ?? name
        let named: NamedSettings
        do throws(SettingsError) { named = try SettingsCommand.store.settings(settings) } catch {
            guard let machine, machine.specification.settingsName == nil else { throw error }
            throw CommandFailure(
                "settings.unknown", "the machine \"\(name)\" has no settings; there is nothing to reset")
        }
        _ = try named.reset()
        // Those that others run with are not these machines' alone.
        for machine in Product.fleet.store.machines(withSettings: settings) where !machine.state.isOver {
            try MachineRemote(machine, store: Product.fleet.store).restart()
        }
    }
}
