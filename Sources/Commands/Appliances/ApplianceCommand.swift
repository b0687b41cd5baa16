import ArgumentParser
import Fleet
import ImageStore
import ImageTransfer
import Registry
import Signatures

struct ApplianceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "appliance",
        abstract: "Build, run and inspect appliances; sign them and other images, and verify who did.",
        subcommands: [
            ApplianceBuildCommand.self, ApplianceRunCommand.self, ApplianceInspectCommand.self,
            ApplianceSignCommand.self, ApplianceVerifyCommand.self,
        ])
}

struct ApplianceVerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Tell whether an image is signed as it must be.",
        discussion: """
            Signatures are Ed25519, or ECDSA on P-256, and lie beside the image as cosign keeps them. The policy is the one that
            holds on this computer, unless another, or one key, is given. A name that begins with a registry is asked for there;
            other names, digests, and with --local every name, mean what is here, with the signatures that came with it.

            Examples:
              swiftlet appliance verify ghcr.io/acme/firewall:1.4
              swiftlet appliance verify --key acme.pub ghcr.io/acme/firewall@sha256:4f0c...
              swiftlet appliance verify --local ghcr.io/acme/firewall:1.4
            """)
    @Option(help: ArgumentHelp("The policy.", valueName: "file"), completion: .file()) var policy: String?
    @Option(
        help: ArgumentHelp("A public key that must have signed, whatever a policy says.", valueName: "file"),
        completion: .file())
    var key: String?
    @Flag(help: "Judge what is here, by the signatures that came with it, and ask no registry.") var local = false
    @Argument(help: "A name, as registries know it, or of what is here.", completion: Completions.images)
    var image: String
    @OptionGroup var registry: RegistryOptions
    @OptionGroup var format: FormatOptions

    struct Document: Encodable {
        var name: String
        var digest: String
        var signedBy: [String]
        var isSignatureWanted: Bool
    }

    func run() throws {
        if local || (!ImageReference.namesRegistry(image) && (try? ImageCommand.resolve(image)) != nil) {
            return try judgeStored()
        }
        let reference = try ImageReference(image)
        let policy = try wanted(reference)
        let client = try registry.client()
        let (digest, verdict) = try waitFor {
            let digest = try await client.descriptor(of: reference).digest
            return (digest, try await RemoteSignatures(of: reference, at: client).judge(digest, by: policy))
        }
        show(verdict, reference.name, "\(digest)")
    }

    /// Every name of a registry that is meant must be.
    private func judgeStored() throws {
        let stored = try ImageCommand.resolve(image)
        // Its own names claim nothing; who asks wants to know about those that do.
        let called = Policies.claims(of: stored, called: image)
        let claims = called.isEmpty ? stored.names.filter(ImageReference.namesRegistry) : called
        guard !claims.isEmpty else {
            throw CommandFailure(
                "signature.missing",
                "\(image) has no name that begins with a registry, and a signature is one of such a name; give the one that it "
                    + "was pulled by")
        }
        for claim in claims {
            let reference = try ImageReference(claim)
            let verdict = try Policies.verdict(on: stored, named: claim, by: try wanted(reference))
            show(verdict, reference.name, "\(stored.subject.map { "\($0)" } ?? stored.digest)")
        }
    }

    private func show(_ verdict: SignaturePolicy.Verdict, _ name: String, _ digest: String) {
        var document = Document(name: name, digest: digest, signedBy: [], isSignatureWanted: false)
        if case .signed(let names) = verdict { (document.signedBy, document.isSignatureWanted) = (names, true) }
        if format.isJSON { return Output.json(document) }
        Output.line(
            "\(name)@\(digest): "
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
