import ApplianceSettings
import ArgumentParser
import Fleet
import HostFiles

struct SettingsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "settings", abstract: "The settings of appliances: checked by a schema, kept on a floppy.",
        subcommands: [
            SettingsCreateCommand.self, SettingsListCommand.self, SettingsGetCommand.self, SettingsSetCommand.self,
            SettingsEditCommand.self, SettingsCommitCommand.self, SettingsConfirmCommand.self, SettingsDiffCommand.self,
            SettingsExportCommand.self,
            SettingsImportCommand.self,
            SettingsHistoryCommand.self, SettingsRollbackCommand.self, SettingsMigrateCommand.self,
            SettingsFieldsCommand.self, SettingsRemoveCommand.self,
        ])

    static var store: SettingsStore { SettingsStore(root: Product.paths.settings) }

    /// Of a file, or of an appliance that is here; a file comes first.
    static func schema(_ source: String) throws -> SettingsSchema {
        if source != "-", !HostPath(source).exists, let image = try? ImageCommand.resolve(source) {
            guard let schema = try ImageCommand.store.appliance(image).description.settings else {
                throw CommandFailure("appliance.without-settings", "the appliance \(source) takes no settings")
            }
            return schema
        }
        do { return try SettingsSchema(parsing: try read(source, limit: SettingsSchema.maximumBytes)) } catch let error
            as CommandFailure
        {
            throw CommandFailure(
                error.code,
                "\(error.message), and no image is called so either; the appliance's own schema comes with "
                    + "it: --schema IMAGE, once it is pulled")
        }
    }

    /// A file's bytes; `-` is standard input.
    static func read(_ file: String, limit: Int = 1 << 20) throws -> [UInt8] {
        do {
            guard file == "-" else { return try HostPath(file).readWhole(limit: limit) }
            let input = try HostFile.standardInput()
            var content: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            while true {
                let count = try input.read(into: &buffer)
                if count == 0 { return content }
                content += buffer[..<count]
                guard content.count <= limit else {
                    throw CommandFailure("settings.invalid-text", "standard input is longer than \(limit) bytes")
                }
            }
        } catch let error as HostFileError {
            throw CommandFailure("settings.unreadable-file", "\(error)")
        }
    }

    /// Says what has become of settings.
    static func report(_ name: String, _ generation: SettingsGeneration, after before: UInt64?, asJSON: Bool) {
        if asJSON { return Output.json(GenerationDocument(name, generation, hasChanged: generation.number != before)) }
        Output.line(
            generation.number == before
                ? "\(name): nothing changed, generation \(generation.number)"
                : "\(name): generation \(generation.number)"
                    + (generation.deadlineSeconds.map {
                        ", until \(Timestamp.text(seconds: Int64(clamping: $0))) unless it is confirmed"
                    } ?? ""))
    }
}

/// What a change came to, for programs.
struct GenerationDocument: Encodable {
    var name: String
    var generation: UInt64
    var schema: String
    var schemaVersion: UInt32
    var hasChanged: Bool
    /// Until when it must be confirmed.
    var confirmUntil: String?

    init(_ name: String, _ generation: SettingsGeneration, hasChanged: Bool) {
        self.name = name
        self.generation = generation.number
        schema = generation.schema.name
        schemaVersion = generation.schema.version
        self.hasChanged = hasChanged
        confirmUntil = generation.deadlineSeconds.map { Timestamp.text(seconds: Int64(clamping: $0)) }
    }
}

struct SettingsCreateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Make settings, and their floppy.",
        discussion: """
            The schema says which fields there are. Fields that it requires must be in the document.

            Examples:
              swiftlet settings create fw --schema firewall.json --from fw.json
              swiftlet settings create fw --schema ghcr.io/acme/firewall:1.4 --from fw.json
            """)
    @Option(
        help: ArgumentHelp("The schema: a file, or an appliance that has it.", valueName: "file-or-image"),
        completion: .file())
    var schema: String
    @Option(help: ArgumentHelp("The first settings; - is standard input.", valueName: "file"), completion: .file())
    var from: String?
    @Argument(help: "What they are to be called.") var name: String
    @OptionGroup var format: FormatOptions

    func run() throws {
        let schema = try SettingsCommand.schema(schema)
        let settings = try from.map { try SettingsDocument.parse(try SettingsCommand.read($0)) } ?? .group([:])
        let made = try SettingsCommand.store.create(name, schema: schema, settings: settings)
        SettingsCommand.report(name, try made.current(), after: nil, asJSON: format.isJSON)
    }
}

struct SettingsListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List settings.", discussion: "Example:\n  swiftlet settings list",
        aliases: ["ls"])
    @OptionGroup var format: FormatOptions

    struct Document: Encodable {
        var name: String
        var generation: UInt64?
        var schema: String?
        var schemaVersion: UInt32?
        var written: String?
        var floppyPath: String
        var problem: String?
    }

    func run() throws {
        var documents: [Document] = []
        var table = Table("NAME", "SCHEMA", "GENERATION", "WRITTEN")
        for name in try SettingsCommand.store.names() {
            let named = try SettingsCommand.store.settings(name)
            do throws(SettingsError) {
                let current = try named.current()
                let seconds = Int64(clamping: current.writtenSeconds)
                table.add(
                    name, "\(current.schema.name) \(current.schema.version)", "\(current.number)", Units.since(seconds))
                documents.append(
                    Document(
                        name: name, generation: current.number, schema: current.schema.name,
                        schemaVersion: current.schema.version, written: Timestamp.text(seconds: seconds),
                        floppyPath: "\(named.floppy)"))
            } catch {
                table.add(name, "-", "damaged", "-")
                documents.append(Document(name: name, floppyPath: "\(named.floppy)", problem: error.message))
            }
        }
        if format.isJSON { return Output.json(documents) }
        Output.line(table.text)
    }
}

struct SettingsRemoveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "Remove settings, with their history.",
        discussion: "Example:\n  swiftlet settings remove fw", aliases: ["rm"])
    @Argument(help: "Names of settings.", completion: Completions.settings) var names: [String]
    @OptionGroup var format: FormatOptions

    func run() throws {
        try forEach(names, asJSON: format.isJSON) { name in
            if let machine = Product.fleet.store.machines(withSettings: name).first {
                throw CommandFailure(
                    "settings.in-use",
                    "the machine \"\(machine.name)\" runs with the settings \(name); end it first: swiftlet stop \(machine.name)"
                )
            }
            try SettingsCommand.store.remove(name)
        }
    }
}

struct SettingsFieldsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fields", abstract: "Tell which fields there are, and what they take.",
        discussion: "Example:\n  swiftlet settings fields fw")
    @Argument(help: "The settings.", completion: Completions.settings) var name: String
    @OptionGroup var format: FormatOptions

    struct Document: Encodable {
        var path: String
        var takes: String
        var isRequired: Bool
        var defaultValue: SettingsValue?
        var description: String
    }

    func run() throws {
        let documents = Self.documents(try SettingsCommand.store.settings(name).current().schema)
        if format.isJSON { return Output.json(documents) }
        var table = Table("FIELD", "TAKES", "DEFAULT", "DESCRIPTION")
        for field in documents {
            let value = field.isRequired ? "required" : field.defaultValue.map { $0.typedText } ?? "-"
            table.add(field.path, field.takes, value, field.description.isEmpty ? "-" : field.description)
        }
        Output.line(table.text)
    }

    static func documents(_ schema: SettingsSchema) -> [Document] {
        schema.describedFields.map { path, field in
            Document(
                path: path, takes: field.kind.summary, isRequired: field.isRequired,
                defaultValue: field.defaultValue, description: field.explanation)
        }
    }
}
