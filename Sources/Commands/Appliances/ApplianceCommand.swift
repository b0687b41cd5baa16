import ArgumentParser
import Fleet
import ImageTransfer
import Registry
import Signatures

struct ApplianceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "appliance", abstract: "Inspect appliances; sign them and other images, and verify who did.",
        subcommands: [ApplianceInspectCommand.self, ApplianceSignCommand.self, ApplianceVerifyCommand.self])
}

struct ApplianceVerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Tell whether an image in a registry is signed as it must be.",
        discussion: """
            Signatures are Ed25519, or ECDSA on P-256, and lie beside the image as cosign keeps them. The policy is the one that
            holds on this computer, unless another, or one key, is given.

            Examples:
              swiftlet appliance verify ghcr.io/acme/firewall:1.4
              swiftlet appliance verify --key acme.pub ghcr.io/acme/firewall@sha256:4f0c...
            """)
    @Option(help: ArgumentHelp("The policy.", valueName: "file"), completion: .file()) var policy: String?
    @Option(
        help: ArgumentHelp("A public key that must have signed, whatever a policy says.", valueName: "file"),
        completion: .file())
    var key: String?
    @Argument(help: "A name, as registries know it.") var image: String
    @OptionGroup var registry: RegistryOptions
    @OptionGroup var format: FormatOptions

    struct Document: Encodable {
        var name: String
        var digest: String
        var signedBy: [String]
        var isSignatureWanted: Bool
    }

    func run() throws {
        let reference = try ImageReference(image)
        let policy = try wanted(reference)
        let client = try registry.client()
        let (digest, verdict) = try waitFor {
            let digest = try await client.descriptor(of: reference).digest
            return (digest, try await RemoteSignatures(of: reference, at: client).judge(digest, by: policy))
        }
        var document = Document(name: reference.name, digest: "\(digest)", signedBy: [], isSignatureWanted: false)
        if case .signed(let names) = verdict { (document.signedBy, document.isSignatureWanted) = (names, true) }
        if format.isJSON { return Output.json(document) }
        Output.line(
            "\(reference.name)@\(digest): "
                + (document.isSignatureWanted
                    ? "signed by \(document.signedBy.joined(separator: ", "))" : "the policy wants no signature"))
    }

    private func wanted(_ reference: ImageReference) throws -> SignaturePolicy {
        if let key {
            guard policy == nil else { throw CommandFailure("usage", "give either --key or --policy") }
            return SignaturePolicy(
                trusting: try VerifyingKey(pem: try Policies.text(key)), called: key, with: reference.name)
        }
        if let policy { return try Policies.read(policy) }
        guard let standing = try Policies.standing() else {
            throw CommandFailure(
                "signature.no-policy",
                "there is no policy: neither \(Product.paths.policy) nor /etc/swiftlet/policy.json; give one by --policy, or a key by --key"
            )
        }
        return standing
    }
}

struct ApplianceSignCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sign", abstract: "Sign an image in a registry.",
        discussion: """
            The key is Ed25519 or P-256, as `openssl genpkey` writes it, not encrypted. The signature goes into the image's
            repository, as cosign keeps it; those that are there stay.

            Example:
              openssl genpkey -algorithm ed25519 -out acme.key && openssl pkey -in acme.key -pubout -out acme.pub
              swiftlet appliance sign --key acme.key ghcr.io/acme/firewall:1.4
            """)
    @Option(help: ArgumentHelp("The private key; - is standard input.", valueName: "file"), completion: .file())
    var key: String
    @Argument(help: "A name, as registries know it.") var image: String
    @OptionGroup var registry: RegistryOptions
    @OptionGroup var format: FormatOptions

    struct Document: Encodable {
        var name: String
        var digest: String
        var key: String
    }

    func run() throws {
        let reference = try ImageReference(image)
        let key = try SigningKey(pem: try Policies.text(key))
        let client = try registry.client()
        let digest = try waitFor {
            let digest = try await client.descriptor(of: reference).digest
            let signature = try ImageSignature(of: digest, in: reference.name, by: key)
            try await RemoteSignatures(of: reference, at: client).add(signature, by: key.verifyingKey, to: digest)
            return digest
        }
        if format.isJSON {
            return Output.json(Document(name: reference.name, digest: "\(digest)", key: "\(key.verifyingKey)"))
        }
        Output.line("\(reference.name)@\(digest): signed by \(key.verifyingKey)")
    }
}
