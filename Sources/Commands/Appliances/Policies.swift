import ApplianceSettings
import Fleet
import HostFiles
import Signatures

/// Where policies are, and the keys that they name.
enum Policies {
    /// What holds on this computer: the user's own, else everybody's; nil where there is neither.
    static func standing() throws -> SignaturePolicy? {
        for file in [Product.paths.policy, "/etc/swiftlet/policy.json"] where HostPath(file).exists {
            return try read(file)
        }
        return nil
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

    static func text(_ file: String) throws -> String {
        String(decoding: try SettingsCommand.read(file, limit: 16 << 10), as: UTF8.self)
    }
}
