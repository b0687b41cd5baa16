import ApplianceSettings
import Archives
import Fleet
import HostFiles
import ImageStore
import ImageTransfer
import OCIImages
import Registry
import Signatures

/// Where policies are, and the keys that they name.
enum Policies {
    /// What holds on this computer: the user's own, else everybody's; nil where there is neither.
    static func standing() throws -> SignaturePolicy? { try standingFile.map(read) }

    private static var standingFile: String? {
        [Product.paths.policy, "/etc/swiftlet/policy.json"].first { HostPath($0).exists }
    }

    /// A policy's file; keys' files lie beside it, unless their paths begin with a slash.
    static func read(_ file: String) throws -> SignaturePolicy {
        let folder = file.lastIndex(of: "/").map { String(file[...$0]) } ?? ""
        let bytes = try SettingsCommand.read(file, limit: SignaturePolicy.maximumBytes)
        return try SignaturePolicy(parsing: bytes) { name throws(SignatureError) in
            let path = HostPath(name.hasPrefix("/") ? name : folder + name)
            do throws(HostFileError) {
                return String(decoding: try path.readWhole(limit: 16 << 10), as: UTF8.self)
            } catch {
                throw SignatureError(.invalidKey, "\(error)")
            }
        }
    }

    /// Asks the standing policy whether an image may come from a file under a name that a registry gives: nothing in a file
    /// says who signed it, so that only a rule that wants no signature lets it in. A name without a registry claims nothing.
    static func admit(fromFileAs name: String) throws {
        guard ImageReference.namesRegistry(name), let reference = try? ImageReference(name),
            let policy = try standing()
        else { return }
        guard !policy.wantsSignatures(of: reference.name) else {
            throw CommandFailure(
                "signature.missing",
                "the policy wants signatures for \(reference.name), and what comes from a file has none unless it was saved with "
                    + "them (--signatures); pull it, or give it a name that begins with no registry")
        }
        // Without signatures the digest is not looked at.
        _ = try policy.judge(SHA256.digest(of: []), named: reference.name, signatures: [])
    }

    /// The same of an image in an archive, which may have its signatures beside it.
    static func admit(_ image: ArchivedImage, fromFileAs name: String) throws {
        guard !image.signatures.isEmpty else { return try admit(fromFileAs: name) }
        guard ImageReference.namesRegistry(name), let reference = try? ImageReference(name),
            let policy = try standing()
        else { return }
        _ = try image.judge(named: reference.name, by: policy)
    }

    /// Asks the standing policy whether an image that is here may be used, under what it is called, by the signatures that came
    /// with it. Nobody asks twice what a pull has just asked.
    static func admit(_ image: StoredImage, called name: String) throws {
        guard let policy = try standing() else { return }
        for claim in claims(of: image, called: name) {
            _ = try verdict(on: image, named: claim, by: policy)
        }
    }

    /// Asks it of a machine that is to be begun again: policies change, and names come to mean other images.
    static func admit(_ specification: MachineSpecification) throws {
        // An image that is not there says so itself.
        guard let image = try? ImageCommand.store.resolve(specification.imageDigest) else { return }
        try admit(image, called: specification.image)
    }

    /// What a policy says of an image that is here, with a way out where it refuses.
    static func verdict(
        on image: StoredImage, named claim: String, by policy: SignaturePolicy
    ) throws -> SignaturePolicy.Verdict {
        do { return try ImageCommand.store.judge(image, named: claim, by: policy) } catch let error as SignatureError {
            let advice =
                switch error.code {
                case .missing, .untrusted:
                    "; if it has been signed since it came here, pull it again: swiftlet pull \(claim)"
                case .refusedByPolicy: "; the policy is \(standingFile ?? "the one that was given")"
                default: ""
                }
            throw SignatureError(error.code, error.message + advice)
        }
    }

    /// The names of registries under which somebody means an image that is here; none where its name is one's own.
    static func claims(of image: StoredImage, called name: String) -> [String] {
        if ImageReference.namesRegistry(name) { return [name] }
        // A name of the store's own, even if it means another image by now.
        if image.names.contains(name)
            || (try? ImageCommand.store.list())?.contains(where: { $0.names.contains(name) })
                ?? false
        {
            return []
        }
        if let reference = try? ImageReference(name), (try? ImageCommand.store.resolve("\(reference)")) != nil {
            return ["\(reference)"]
        }
        // By a digest every name that it has is meant.
        return image.names.filter(ImageReference.namesRegistry)
    }

    static func text(_ file: String) throws -> String {
        String(decoding: try SettingsCommand.read(file, limit: 16 << 10), as: UTF8.self)
    }
}
