import ApplianceSettings
import ArgumentParser
import Fleet

struct SettingsGetCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "get", abstract: "Print settings, defaults included.",
        discussion: """
            Secrets are shown as \(SettingsSchema.hiddenSecret) unless they are asked for.

            Examples:
              swiftlet settings get fw
              swiftlet settings get fw dns.servers.0
            """)
    @Option(help: ArgumentHelp("Those of an older generation.", valueName: "number")) var generation: UInt64?
    @Flag(help: "Show secrets.") var showSecrets = false
    @Argument(help: "The settings.", completion: Completions.settings) var name: String
    @Argument(help: "One field; all, if none is named.") var field: String?
    @OptionGroup var format: FormatOptions

    struct Document: Encodable {
        var name: String
        var generation: UInt64
        var schema: String
        var schemaVersion: UInt32
        var written: String
        var confirmUntil: String?
        var settings: SettingsValue
    }

    func run() throws {
        let named = try SettingsCommand.store.settings(name)
        let found = try generation.map { try named.generation($0) } ?? named.current()
        let all = showSecrets ? found.completed : found.schema.hidingSecrets(found.completed)
        guard let field else {
            guard format.isJSON else { return Output.line(all.text) }
            return Output.json(
                Document(
                    name: name, generation: found.number, schema: found.schema.name,
                    schemaVersion: found.schema.version,
                    written: Timestamp.text(seconds: Int64(clamping: found.writtenSeconds)),
                    confirmUntil: found.deadlineSeconds.map { Timestamp.text(seconds: Int64(clamping: $0)) },
                    settings: all))
        }
        let change = try SettingsChange(field, nil)
        _ = try found.schema.kind(at: change.path)
        guard let value = all[change.path] else {
            throw CommandFailure("settings.not-set", "\(field) of \(name) is not set, and has no default")
        }
        if format.isJSON { return Output.json(value) }
        Output.line(value.typedText)
    }
}

struct SettingsExportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Print what was set, as a document that import takes.",
        discussion: """
            Defaults are left out, unless they are asked for. Secrets are shown as \(SettingsSchema.hiddenSecret), which import
            takes for "as it is".

            Example:
              swiftlet settings export fw > fw.json
            """)
    @Option(help: ArgumentHelp("Those of an older generation.", valueName: "number")) var generation: UInt64?
    @Flag(help: "Show secrets.") var showSecrets = false
    @Flag(help: "With the defaults.") var all = false
    @Argument(help: "The settings.", completion: Completions.settings) var name: String
    @OptionGroup var format: ErrorFormatOptions

    func run() throws {
        let named = try SettingsCommand.store.settings(name)
        let found = try generation.map { try named.generation($0) } ?? named.current()
        let value = all ? found.completed : found.settings
        Output.line((showSecrets ? value : found.schema.hidingSecrets(value)).text)
    }
}
