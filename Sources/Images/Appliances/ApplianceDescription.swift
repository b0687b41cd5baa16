public import ApplianceSettings
import JSONFields
import WireFormats

/// What an appliance says about itself. Format: Documentation/appliances.md.
public struct ApplianceDescription: Equatable, Sendable {
    /// What kind of machine it is made for.
    public enum Kind: String, Sendable, CaseIterable {
        case application, container, unikernel
    }

    /// One network interface, and what it is for.
    public struct Interface: Equatable, Sendable {
        public let name: String
        /// `outside`, `inside`, `dmz`, or whatever the appliance calls it.
        public let role: String
        /// Whether the appliance does not start without it.
        public let isRequired: Bool
        /// Whether the appliance's program gives it addresses, as its settings say, and the host none.
        public let isAddressedByProgram: Bool
        public let explanation: String
    }

    /// How to ask it whether it does its work.
    public struct HealthCheck: Equatable, Sendable {
        /// A program in the guest, with its arguments; status 0 is healthy.
        public let command: [String]
        public let intervalMilliseconds: Int64
        public let timeoutMilliseconds: Int64
        /// So many failures one after the other make it unhealthy.
        public let retries: Int
        /// How long it may take until it is healthy for the first time.
        public let startMilliseconds: Int64
    }

    public let name: String
    public let version: ApplianceVersion
    public let kind: Kind
    /// As OCI names them: `amd64`.
    public let architecture: String
    public let leastMemoryMebibytes: Int
    /// The program with its arguments, and what it starts with; no command in a description that an image's completes.
    public let command: [String]
    public let environment: [String]
    public let user: String
    public let workingDirectory: String
    /// Run in the guest when settings have changed under it, with its arguments; empty where the program looks for itself.
    public let apply: [String]
    /// Whether its program has settings kept by itself.
    public let commitsSettings: Bool
    /// Words that the appliance's own kernel wants on its command line.
    public let kernelArguments: String
    public let interfaces: [Interface]
    public let health: HealthCheck?
    /// Nil where it takes no settings.
    public let settings: SettingsSchema?
    /// For people.
    public let explanation: String

    public static let maximumBytes = 512 << 10

    /// Trust: none in the bytes, which come with an image.
    /// - Throws: `invalid`, with the field and the reason.
    public init(parsing bytes: [UInt8]) throws(ApplianceError) {
        guard bytes.count <= Self.maximumBytes else {
            throw ApplianceError(.invalid, "the appliance's description is longer than \(Self.maximumBytes) bytes")
        }
        let json: JSONValue
        do throws(JSONError) { json = try JSONParser.parse(bytes) } catch {
            throw ApplianceError(.invalid, "the appliance's description is not JSON: \(error)")
        }
        do throws(FieldFault) {
            var reader = try FieldReader(json)
            name = try Self.name("name", &reader)
            let versionText = try reader.text("version")
            guard let version = ApplianceVersion(versionText) else {
                throw reader.fault("version", "must be one to four numbers, as in 1.4.2")
            }
            self.version = version
            guard let kind = Kind(rawValue: try reader.text("type")) else {
                throw reader.fault("type", "must be one of \(Kind.allCases.map(\.rawValue).joined(separator: ", "))")
            }
            self.kind = kind
            architecture = try reader.text("architecture")
            guard ["amd64", "arm64"].contains(architecture) else {
                throw reader.fault("architecture", "must be amd64 or arm64")
            }
            leastMemoryMebibytes = Int(try reader.integer("least-memory-mib", in: 1...1_048_576))
            command = try Self.command("command", &reader)
            environment = try reader.texts("environment")
            guard environment.count <= 256, environment.allSatisfy(Self.isAssignment) else {
                throw reader.fault("environment", "must be at most 256 texts of the form NAME=value")
            }
            user = try Self.word("user", &reader)
            workingDirectory = try Self.word("working-directory", &reader)
            guard workingDirectory.isEmpty || workingDirectory.hasPrefix("/") else {
                throw reader.fault("working-directory", "must begin with /")
            }
            apply = try Self.command("apply", &reader)
            kernelArguments = try reader.optionalText("kernel-arguments") ?? ""
            guard kernelArguments.utf8.count <= 1000, kernelArguments.utf8.allSatisfy({ (0x20...0x7e).contains($0) })
            else {
                throw reader.fault("kernel-arguments", "must be at most 1000 printable characters")
            }
            explanation = try Self.explanation(&reader)
            interfaces = try Self.interfaces(&reader)
            health = try reader.value("health") == nil ? nil : Self.health(try reader.object("health"))
            settings = try Self.settings(&reader)
            commitsSettings = try reader.boolean("commits-settings")
            guard !commitsSettings || settings != nil else {
                throw reader.fault("commits-settings", "needs settings")
            }
            try reader.finish()
            if let settings, settings.name != name {
                throw FieldFault(["settings", "name"], "must be the appliance's, \(name)")
            }
        } catch {
            throw ApplianceError(.invalid, "the appliance's description is wrong: \(error)")
        }
    }

    private static func name(_ field: String, _ reader: inout FieldReader) throws(FieldFault) -> String {
        let name = try reader.text(field)
        let isName =
            (1...63).contains(name.utf8.count) && name.first != "-"
            && name.utf8.allSatisfy { (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2d }
        guard isName else { throw reader.fault(field, "must be small letters, digits and -, at most 63") }
        return name
    }

    private static func explanation(_ reader: inout FieldReader) throws(FieldFault) -> String {
        let text = try reader.optionalText("description") ?? ""
        guard text.utf8.count <= 1000 else { throw reader.fault("description", "must be shorter") }
        return text
    }

    private static func interfaces(_ reader: inout FieldReader) throws(FieldFault) -> [Interface] {
        var interfaces: [Interface] = []
        for var each in try reader.objects("interfaces") {
            let name = try name("name", &each)
            // Source: linux/if.h, IFNAMSIZ with its zero byte.
            guard name.utf8.count <= 15, !interfaces.contains(where: { $0.name == name }) else {
                throw each.fault("name", "must be its own, of at most 15 characters")
            }
            interfaces.append(
                Interface(
                    name: name, role: try Self.name("role", &each), isRequired: try each.boolean("required"),
                    isAddressedByProgram: try each.boolean("addressed-by-program"),
                    explanation: try explanation(&each)))
            try each.finish()
        }
        guard interfaces.count <= 16 else { throw reader.fault("interfaces", "must be at most 16") }
        return interfaces
    }

    private static func health(_ reader: FieldReader) throws(FieldFault) -> HealthCheck {
        var reader = reader
        let command = try command("command", &reader)
        guard !command.isEmpty else { throw reader.fault("command", "must be a program and its arguments") }
        let check = HealthCheck(
            command: command, intervalMilliseconds: try duration("interval", "30s", &reader),
            timeoutMilliseconds: try duration("timeout", "5s", &reader),
            retries: try retries(&reader),
            startMilliseconds: try duration("start", "60s", &reader))
        try reader.finish()
        return check
    }

    /// A program and its arguments, or nothing.
    private static func command(_ name: String, _ reader: inout FieldReader) throws(FieldFault) -> [String] {
        let command = try reader.texts(name)
        guard command.count <= 64, command.allSatisfy({ $0.utf8.count <= 4096 && !$0.utf8.contains(0) }),
            command.first?.isEmpty != true
        else { throw reader.fault(name, "must be a program and its arguments") }
        return command
    }

    private static func word(_ name: String, _ reader: inout FieldReader) throws(FieldFault) -> String {
        let text = try reader.optionalText(name) ?? ""
        guard text.utf8.count <= 256, text.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7f }) else {
            throw reader.fault(name, "must be one word of at most 256 characters")
        }
        return text
    }

    private static func isAssignment(_ text: String) -> Bool {
        guard let equals = text.utf8.firstIndex(of: 0x3d) else { return false }
        return equals > text.startIndex && text.utf8.count <= 4096 && !text.utf8.contains(0)
    }

    private static func retries(_ reader: inout FieldReader) throws(FieldFault) -> Int {
        let number = try reader.optionalInteger("retries") ?? 3
        guard (1...1000).contains(number) else { throw reader.fault("retries", "must be from 1 to 1000") }
        return Int(number)
    }

    private static func duration(
        _ name: String, _ usual: String, _ reader: inout FieldReader
    ) throws(FieldFault) -> Int64 {
        guard let milliseconds = Durations.parse(try reader.optionalText(name) ?? usual),
            (1...86_400_000).contains(milliseconds)
        else { throw reader.fault(name, "must be a duration of at most a day, as 5s is") }
        return milliseconds
    }

    private static func settings(_ reader: inout FieldReader) throws(FieldFault) -> SettingsSchema? {
        guard let json = reader.value("settings") else { return nil }
        do throws(SettingsError) { return try SettingsSchema(json) } catch {
            throw reader.fault("settings", error.message)
        }
    }
}
