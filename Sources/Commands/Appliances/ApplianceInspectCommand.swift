import ApplianceSettings
import Appliances
import ArgumentParser
import Registry

struct ApplianceInspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Tell what an appliance in a registry says about itself.",
        discussion: "Example:\n  swiftlet appliance inspect ghcr.io/acme/firewall:1.4")
    @Argument(help: "A name, as registries know it.") var image: String
    @OptionGroup var registry: RegistryOptions
    @OptionGroup var format: FormatOptions

    struct Document: Encodable {
        struct Part: Encodable {
            var digest: String
            var sizeBytes: UInt64

            init(_ part: ApplianceManifest.Part) { (digest, sizeBytes) = ("\(part.digest)", part.sizeBytes) }
        }

        struct Interface: Encodable {
            var name: String
            var role: String
            var isRequired: Bool
            var description: String
        }

        struct Health: Encodable {
            var command: [String]
            var interval: String
            var timeout: String
            var retries: Int
            var start: String
        }

        var name: String
        var version: String
        var type: String
        var architecture: String
        var leastMemoryMebibytes: Int
        var description: String
        var digest: String
        var disk: Part
        var kernel: Part?
        var interfaces: [Interface]
        var health: Health?
        var settingsVersion: UInt32?
        var settings: [SettingsFieldsCommand.Document]

        init(_ about: ApplianceDescription, _ manifest: ApplianceManifest, digest: String) {
            name = about.name
            version = "\(about.version)"
            type = about.kind.rawValue
            architecture = about.architecture
            leastMemoryMebibytes = about.leastMemoryMebibytes
            description = about.explanation
            self.digest = digest
            disk = Part(manifest.disk)
            kernel = manifest.kernel.map(Part.init)
            interfaces = about.interfaces.map {
                Interface(name: $0.name, role: $0.role, isRequired: $0.isRequired, description: $0.explanation)
            }
            health = about.health.map {
                Health(
                    command: $0.command, interval: Durations.text(milliseconds: $0.intervalMilliseconds),
                    timeout: Durations.text(milliseconds: $0.timeoutMilliseconds), retries: $0.retries,
                    start: Durations.text(milliseconds: $0.startMilliseconds))
            }
            settingsVersion = about.settings?.version
            settings = about.settings.map(SettingsFieldsCommand.documents) ?? []
        }
    }

    func run() throws {
        let reference = try ImageReference(image)
        let client = try registry.client()
        let (digest, manifest, description) = try waitFor {
            let manifest = try await client.manifest(reference)
            let parts = try ApplianceManifest(parsing: manifest.bytes)
            guard parts.description.sizeBytes <= UInt64(ApplianceDescription.maximumBytes) else {
                throw ApplianceError(
                    .invalid, "the appliance's description has \(parts.description.sizeBytes) bytes, too many")
            }
            let content = BlobMemory()
            try await client.download(
                Descriptor(digest: parts.description.digest, sizeBytes: parts.description.sizeBytes), of: reference,
                to: content)
            return (manifest.descriptor.digest, parts, try ApplianceDescription(parsing: content.bytes))
        }
        // As other commands of that name: JSON, with --json or without.
        Output.json(Document(description, manifest, digest: "\(digest)"))
    }
}
