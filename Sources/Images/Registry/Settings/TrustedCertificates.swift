import HostFiles
import NIOSSL

/// Whom TLS trusts for a host.
struct TrustedCertificates {
    let settings: RegistrySettings

    private static let maximumBytes = 4 << 20

    /// - Parameter authority: the host, with its port where it is not 443.
    /// - Throws: `.invalidSetting`, with the file that cannot be used.
    func configuration(for address: WebAddress) throws(RegistryError) -> TLSConfiguration {
        var configuration = TLSConfiguration.makeClientConfiguration()
        if settings.isInsecure { configuration.certificateVerification = .none }
        if let file = settings.systemCertificateFile {
            configuration.trustRoots = .certificates(try Self.certificates(file))
        }
        var added: [NIOSSLCertificate] = []
        if let file = settings.certificateFile { added += try Self.certificates(file) }
        for folder in Self.folders(of: address, in: settings.certificateFolders) {
            guard let names = try? folder.folderNames() else { continue }
            for name in names where name.suffix(4) == Array(".crt".utf8) {
                added += try Self.certificates(folder.appending(name))
            }
        }
        if !added.isEmpty { configuration.additionalTrustRoots = [.certificates(added)] }
        return configuration
    }

    /// The folders that are looked into for a host: with the port, and without it where it is the usual one.
    static func folders(of address: WebAddress, in folders: [HostPath]) -> [HostPath] {
        let names = address.port == 443 ? [address.host, "\(address.host):443"] : ["\(address.host):\(address.port)"]
        return folders.flatMap { folder in names.map { folder.appending($0) } }
    }

    private static func certificates(_ path: HostPath) throws(RegistryError) -> [NIOSSLCertificate] {
        let bytes: [UInt8]
        do { bytes = try path.readWhole(limit: maximumBytes) } catch {
            throw RegistryError(.invalidSetting, "the certificates to trust: \(error)")
        }
        guard let certificates = try? NIOSSLCertificate.fromPEMBytes(bytes), !certificates.isEmpty else {
            throw RegistryError(.invalidSetting, "\(path) has no certificates in the PEM format")
        }
        return certificates
    }
}
