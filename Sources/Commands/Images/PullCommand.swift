import ArgumentParser
import ImageStore
import ImageTransfer
import Registry

struct PullCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pull", abstract: "Fetch images from registries.",
        discussion: """
            Every byte is verified. What is here already is not fetched again, and a pull that was broken off goes on
            where it was. Credentials are those of `swiftlet login` and of the container engines. Where there is a policy
            ($SWIFTLET_HOME/policy.json, else /etc/swiftlet/policy.json), an image must be signed as it says.

            Examples:
              swiftlet pull docker.io/library/busybox
              swiftlet pull ghcr.io/owner/tool:1.2 localhost:5000/web@sha256:4f0c...
            """)
    @Argument(help: "Names, as registries know them.") var images: [String]
    @Option(help: "Which of an image's architectures.", completion: .list(["amd64", "arm64"])) var architecture: String?
    @Flag(help: "Fetch what an image has for other platforms, too, to hand it on whole.") var allPlatforms = false
    @OptionGroup var registry: RegistryOptions
    @OptionGroup var format: FormatOptions

    func run() throws {
        let client = try registry.client()
        let printed: ([ImageDocument]) -> Void = { if format.isJSON { Output.json($0) } }
        try collect(images, asJSON: format.isJSON, print: printed) { name in
            let image = try pullImage(name, client, architecture: architecture, allPlatforms: allPlatforms)
            if !format.isJSON { Output.line("\(name): \(image.shortDigest), \(Units.size(image.sizeBytes))") }
            return ImageDocument(image)
        }
    }
}

/// Fetches one image, with a bar.
func pullImage(
    _ name: String, _ client: RegistryClient, architecture: String? = nil, allPlatforms: Bool = false
) throws -> StoredImage {
    var settings = ImportSettings()
    settings.keepsAllPlatforms = allPlatforms
    if let architecture { settings.architecture = architecture }
    let reference = try ImageReference(name)
    let bar = SharedProgressBar()
    defer { bar.finish() }
    let pull = ImagePull(
        reference, from: client, into: ImageCommand.store, settings: settings, policy: try Policies.standing())
    return try waitFor {
        try await pull.run { progress in
            if let conversion = progress.conversion {
                return bar.show(
                    "\(conversion.phase.rawValue) \(name)", done: conversion.doneFraction,
                    detail: "\(conversion.entries) files")
            }
            bar.show(
                "pulling \(name)",
                parts: progress.layers.map {
                    TransferredPart(digest: "\($0.digest)", doneBytes: $0.doneBytes, sizeBytes: $0.sizeBytes)
                })
        }
    }
}

/// A layer on its way.
struct TransferredPart {
    let digest: String
    let doneBytes: UInt64
    let sizeBytes: UInt64

    /// The most that are shown; no more move at a time than a few.
    static let shownLimit = 8

    /// `  4f0c12ab34cd [####----] 50 % of 3 MiB`
    var line: String {
        "  \(digest.dropFirst(7).prefix(12)) "
            + ProgressBar.bar(Double(doneBytes) / Double(max(sizeBytes, 1)), width: 24)
            + " of \(Units.size(sizeBytes))"
    }
}

extension SharedProgressBar {
    /// All of them in one line, and a line for each that moves.
    func show(_ phase: String, parts: [TransferredPart]) {
        let doneBytes = parts.reduce(0) { $0 + $1.doneBytes }
        let sizeBytes = parts.reduce(0) { $0 + $1.sizeBytes }
        let finished = parts.count { $0.doneBytes == $0.sizeBytes }
        let moving = parts.filter { (1..<max($0.sizeBytes, 2)).contains($0.doneBytes) }
        show(
            phase, done: Double(doneBytes) / Double(max(sizeBytes, 1)),
            detail: "\(Units.size(doneBytes)) of \(Units.size(sizeBytes)), layers: \(finished) of \(parts.count)",
            parts: moving.prefix(TransferredPart.shownLimit).map(\.line))
    }
}

extension ImageCommand {
    /// An image by what it is called here, or by the name that a registry knows it by: `busybox` is
    /// `docker.io/library/busybox:latest` too, where nothing here is called just so.
    static func resolve(_ name: String) throws -> StoredImage { try store.resolve(storedName(name)) }

    /// An image that is to be run, or made into something that is: one that the policy lets.
    static func resolveForUse(_ name: String) throws -> StoredImage {
        let image = try resolve(name)
        try Policies.admit(image, called: name)
        return image
    }

    /// The name, digest or beginning of one by which the store knows what somebody means.
    static func storedName(_ name: String) -> String {
        do throws(ImageError) { _ = try store.resolve(name) } catch {
            guard error.code == .unknownImage, let reference = try? ImageReference(name),
                (try? store.resolve("\(reference)")) != nil
            else { return name }
            return "\(reference)"
        }
        return name
    }

    /// An image for a run: fetched, if `policy` says so, before.
    static func resolve(_ name: String, pulling policy: PullPolicy, _ registry: RegistryOptions) throws -> StoredImage {
        do {
            if policy != .always { return try resolveForUse(name) }
        } catch let error as ImageError where error.code == .unknownImage {
            guard policy == .missing, ImageReference.namesRegistry(name) else { throw error }
        }
        return try pullImage(name, try registry.client())
    }
}

/// When a run asks a registry.
enum PullPolicy: String, ExpressibleByArgument, CaseIterable {
    /// When the image is not here, and its name begins with a registry: no slip of the finger fetches a stranger's image.
    case missing
    case always
    case never
}
