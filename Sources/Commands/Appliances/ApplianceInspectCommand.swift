import ApplianceSettings
import Appliances
import ArgumentParser
import Registry

struct ApplianceInspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Tell what an appliance says about itself, here or in a registry.",
        discussion: "Example:\n  swiftlet appliance inspect ghcr.io/acme/firewall:1.4")
    @Argument(help: "A name or digest here, or a name as registries know it.", completion: Completions.images)
    var image: String
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
            var isAddressedByProgram: Bool
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
        /// Of the manifest, which is what is signed.
        var digest: String
        /// By which `images` and machines know one that is here.
        var imageDigest: String?
        var disk: Part
        var rootHash: String
        var kernel: Part?
        var command: [String]
        var environment: [String]
        var user: String
        var workingDirectory: String
        var apply: [String]
        var commitsSettings: Bool
        var interfaces: [Interface]
        var health: Health?
        var settingsVersion: UInt32?
        var settings: [SettingsFieldsCommand.Document]

        init(_ about: ApplianceDescription, _ manifest: ApplianceManifest, digest: String) {
            name = about.name
            version = "\(about.version)"
            type = about.kind.rawValue
            architecture = about.architecture
            command = about.command
            environment = about.environment
            user = about.user
            workingDirectory = about.workingDirectory
            apply = about.apply
            commitsSettings = about.commitsSettings
            leastMemoryMebibytes = about.leastMemoryMebibytes
            description = about.explanation
            self.digest = digest
            disk = Part(manifest.disk.part)
            rootHash = "\(manifest.disk.rootHash)"
            kernel = manifest.kernel.map(Part.init)
            interfaces = about.interfaces.map {
                Interface(
                    name: $0.name, role: $0.role, isRequired: $0.isRequired,
                    isAddressedByProgram: $0.isAddressedByProgram, description: $0.explanation)
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
        // What is here, by any of its names; a registry is asked for what is not.
        if let image = try? ImageCommand.resolve(image) {
            let appliance = try ImageCommand.store.appliance(image)
            var document = Document(
                appliance.description, appliance.manifest, digest: image.manifest.map { "\($0)" } ?? "")
            document.imageDigest = image.digest
            return Output.json(document)
        }
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
