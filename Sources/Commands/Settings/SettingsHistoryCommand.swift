import ApplianceSettings
import ArgumentParser
import Fleet

struct SettingsHistoryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history", abstract: "List the generations of settings, the newest first.",
        discussion: "The last \(NamedSettings.keptGenerations) are kept.\n\nExample:\n  swiftlet settings history fw")
    @Argument(help: "The settings.", completion: Completions.settings) var name: String
    @OptionGroup var format: FormatOptions

    struct Document: Encodable {
        var generation: UInt64
        var schemaVersion: UInt32
        var written: String
        var state: String
        var isGuests: Bool
    }

    func run() throws {
        let history = try SettingsCommand.store.settings(name).history()
        if format.isJSON {
            return Output.json(
                history.map {
                    Document(
                        generation: $0.number, schemaVersion: $0.schemaVersion,
                        written: Timestamp.text(seconds: Int64(clamping: $0.writtenSeconds)), state: $0.state.rawValue,
                        isGuests: $0.isGuests)
                })
        }
        var table = Table("GENERATION", "SCHEMA", "WRITTEN", "STATE")
        for each in history {
            table.add(
                "\(each.number)", "\(each.schemaVersion)", Units.since(Int64(clamping: each.writtenSeconds)),
                each.state.rawValue + (each.isGuests ? ", asked for by a guest" : ""))
        }
        Output.line(table.text)
    }
}

struct SettingsRollbackCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rollback", abstract: "Make an older generation count again.",
        discussion: """
            It becomes a new generation, so that this can be undone too. A floppy that is damaged is made anew. A change that is
            still to be confirmed is taken back, at once, and what was there before counts again.

            Examples:
              swiftlet settings rollback fw          the one before
              swiftlet settings rollback fw 12
            """)
    @Argument(help: "The settings.", completion: Completions.settings) var name: String
    @Argument(help: "The generation; the one before, if none is named.") var generation: UInt64?
    @OptionGroup var format: FormatOptions

    func run() throws {
        let named = try SettingsCommand.store.settings(name)
        if generation == nil, (try? named.current())?.deadlineSeconds != nil {
            let after = try SettingsApplication(named).takeBack()
            return SettingsCommand.report(name, after, after: nil, asJSON: format.isJSON)
        }
        let (_, after) = try SettingsApplication(named).run { _, trial in
            try named.rollback(to: generation, confirmWithinSeconds: trial)
        }
        SettingsCommand.report(name, after, after: nil, asJSON: format.isJSON)
    }
}

struct SettingsDiffCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff", abstract: "Tell which fields differ between two generations, or from a document.",
        discussion: """
            The exit status is 0 when nothing differs and 1 when something does.

            Examples:
              swiftlet settings diff fw                  what the last change changed
              swiftlet settings diff fw 3                what changed since generation 3
              swiftlet settings diff fw 3 5
              swiftlet settings diff fw --with new.json  what an import would change
            """)
    @Option(help: ArgumentHelp("Compare with a document; - is standard input.", valueName: "file"), completion: .file())
    var with: String?
    @Argument(help: "The settings.", completion: Completions.settings) var name: String
    @Argument(help: "The older generation; the one before, if none is named.") var from: UInt64?
    @Argument(help: "The newer generation; the one that counts, if none is named.") var to: UInt64?
    @OptionGroup var format: FormatOptions

    struct Document: Encodable {
        var path: String
        var before: SettingsValue?
        var after: SettingsValue?
    }

    func run() throws {
        let differences = try differences()
        if format.isJSON {
            Output.json(
                differences.map { Document(path: "\($0.path)", before: $0.before, after: $0.after) })
        } else {
            for difference in differences {
                if let before = difference.before {
                    Output.line("- \(difference.path)=\(Table.printable(before.typedText))")
                }
                if let after = difference.after {
                    Output.line("+ \(difference.path)=\(Table.printable(after.typedText))")
                }
            }
        }
        if !differences.isEmpty { throw ExitStatusError(status: 1) }
    }

    private func differences() throws -> [SettingsDifference] {
        let named = try SettingsCommand.store.settings(name)
        if let with {
            guard from == nil else { throw CommandFailure("usage", "name either generations or --with a document") }
            let current = try named.current()
            let document = try SettingsDocument.parse(try SettingsCommand.read(with))
            let other = try current.schema.checked(
                try current.schema.restoringSecrets(document, from: current.settings))
            return SettingsDifference.between(current.settings, other, schemas: (current.schema, current.schema))
        }
        let newer = try to.map { try named.generation($0) } ?? named.current()
        let older: SettingsGeneration
        if let from {
            older = try named.generation(from)
        } else {
            guard let before = try named.history().first(where: { $0.number < newer.number && $0.state != .expired })
            else {
                throw CommandFailure(
                    "settings.unknown-generation", "the settings \(name) have no generation before this one")
            }
            older = try named.generation(before.number)
        }
        return SettingsDifference.between(older.settings, newer.settings, schemas: (older.schema, newer.schema))
    }
}
