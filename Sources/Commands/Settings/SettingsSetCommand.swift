import ApplianceSettings
import ArgumentParser

struct SettingsSetCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set", abstract: "Change fields, all of them or none.",
        discussion: """
            Lists and groups are given as JSON. The element after a list's last one is added to it. The options are carried out
            after the changes that are given as words.

            Examples:
              swiftlet settings set fw mtu=1400 dns.servers.0=9.9.9.9
              swiftlet settings set fw 'dns.servers=["1.1.1.1", "9.9.9.9"]' --unset host-name
              pass fw | swiftlet settings set fw --value-from admin.password=-
            """)
    @Option(
        help: ArgumentHelp(
            "Go back to a field's default, or take an element away. May be repeated.", valueName: "field"))
    var unset: [String] = []
    @Option(
        help: ArgumentHelp(
            "Set a field to what a file holds, without its last line's end; - is standard input. May be repeated.",
            valueName: "field=file"))
    var valueFrom: [String] = []
    @OptionGroup var confirmation: ConfirmationOptions
    @Argument(help: "The settings.", completion: Completions.settings) var name: String
    @Argument(help: "Changes, field=value each.") var changes: [String] = []
    @OptionGroup var format: FormatOptions

    func run() throws {
        var list: [SettingsChange] = []
        for change in changes {
            let (path, value) = try Self.parts(change)
            list.append(try SettingsChange(path, value))
        }
        for change in valueFrom {
            let (path, file) = try Self.parts(change)
            var bytes = try SettingsCommand.read(file)
            if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
            guard let text = String(validating: bytes, as: UTF8.self) else {
                throw CommandFailure("settings.refused", "\(path): what \(file) holds is not UTF-8")
            }
            list.append(try SettingsChange(path, text))
        }
        for path in unset { list.append(try SettingsChange(path, nil)) }
        guard !list.isEmpty else {
            throw CommandFailure(
                "usage.nothing-to-set", "name fields and values, as in mtu=1400, or --unset, or --value-from")
        }
        let named = try SettingsCommand.store.settings(name)
        let (before, after) = try SettingsApplication(named, confirmWithin: confirmation.confirmWithin).run {
            _, trial in
            try named.change(confirmWithinSeconds: trial) { current throws(SettingsError) in
                try current.applying(list)
            }
        }
        SettingsCommand.report(name, after, after: before, asJSON: format.isJSON)
    }

    private static func parts(_ change: String) throws -> (String, String) {
        guard let equals = change.firstIndex(of: "=") else {
            throw CommandFailure("usage.no-value", "\"\(change)\" has no value; write field=value")
        }
        return (String(change[..<equals]), String(change[change.index(after: equals)...]))
    }
}

struct ConfirmationOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Go back by itself after that long, unless `settings confirm` comes before: 60s, 5m.", valueName: "time"))
    var confirmWithin: String?
}

struct SettingsConfirmCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "confirm", abstract: "Keep a change that would go back by itself.",
        discussion: "Example:\n  swiftlet settings set --confirm-within 60s fw mtu=9000 && swiftlet settings confirm fw"
    )
    @Argument(help: "The settings.", completion: Completions.settings) var name: String
    @OptionGroup var format: FormatOptions

    func run() throws {
        let named = try SettingsCommand.store.settings(name)
        guard try named.current().deadlineSeconds != nil else {
            throw CommandFailure(
                "settings.nothing-to-confirm",
                "nothing of \(name) is to be confirmed: it has been, or its time was over and it has gone back")
        }
        SettingsCommand.report(name, try named.confirm(), after: nil, asJSON: format.isJSON)
    }
}

struct SettingsImportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Put a document in the place of all that was set.",
        discussion: """
            JSON, in which lines that begin with // are comments. A secret that is \(SettingsSchema.hiddenSecret) stays as it is.

            Example:
              swiftlet settings import fw fw.json
            """)
    @OptionGroup var confirmation: ConfirmationOptions
    @Argument(help: "The settings.", completion: Completions.settings) var name: String
    @Argument(help: "The document; - is standard input.", completion: .file()) var file: String
    @OptionGroup var format: FormatOptions

    func run() throws {
        let named = try SettingsCommand.store.settings(name)
        let document = try SettingsDocument.parse(try SettingsCommand.read(file))
        let (before, after) = try SettingsApplication(named, confirmWithin: confirmation.confirmWithin).run {
            _, trial in
            try named.change(confirmWithinSeconds: trial) { current throws(SettingsError) in
                try current.schema.restoringSecrets(document, from: current.settings)
            }
        }
        SettingsCommand.report(name, after, after: before, asJSON: format.isJSON)
    }
}

struct SettingsMigrateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migrate", abstract: "Carry settings over to another version of their schema.",
        discussion: """
            The newer of the two schemas declares how, up and down.

            Example:
              swiftlet settings migrate fw --schema firewall-4.json
            """)
    @Option(
        help: ArgumentHelp(
            "The other version: a file, or an appliance that has it.", valueName: "file-or-image"),
        completion: .file())
    var schema: String
    @Argument(help: "The settings.", completion: Completions.settings) var name: String
    @OptionGroup var format: FormatOptions

    func run() throws {
        let named = try SettingsCommand.store.settings(name)
        let before = try named.current().number
        let schema = try SettingsCommand.schema(schema)
        try Product.fleet.checkMayMigrate(name, to: schema)
        let after = try named.migrate(to: schema)
        SettingsCommand.report(name, after, after: before, asJSON: format.isJSON)
    }
}
