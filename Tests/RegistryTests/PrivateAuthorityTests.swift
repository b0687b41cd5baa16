import HostFiles
import ImageFixtures
import Testing

@testable import Registry

/// TLS with a registry whose authority only this test knows.
@Suite(.enabled(if: RealRegistry.isInstalled, "docker-registry, skopeo, umoci and openssl are needed: Scripts/setup"))
struct PrivateAuthorityTests {
    @Test("a private authority is trusted when it lies in the folder for the registry, or is named")
    func privateAuthority() async throws {
        let authority = try PrivateAuthority()
        let registry = try RealRegistry(certificate: authority.certificate)
        try registry.fill("--dest-tls-verify=false")
        let reference = try registry.reference()
        let folders = HostPath(registry.scratch.appending("certs.d"))
        let folder = registry.scratch.appending("certs.d/\(registry.host)")

        let untrusted = await #expect(throws: RegistryError.self) {
            try await client(quickSettings { $0.certificateFolders = [folders] }).manifest(reference)
        }
        #expect(untrusted?.code == .untrustedCertificate)
        #expect(untrusted?.message.contains("\(folder)/") == true, "\(untrusted?.message ?? "")")

        try shell("mkdir -p '\(folder)'; cp '\(authority.authorityFile)' '\(folder)/ca.crt'", in: registry.scratch.path)
        let file = HostPath(authority.authorityFile)
        for settings in [
            quickSettings { $0.certificateFolders = [folders] }, quickSettings { $0.certificateFile = file },
            quickSettings { $0.systemCertificateFile = file }, quickSettings { $0.isInsecure = true },
        ] {
            #expect(try await client(settings).manifest(reference).descriptor.mediaType == manifestType)
        }
        try shell("echo nonsense > '\(folder)/ca.crt'", in: registry.scratch.path)
        let damaged = await #expect(throws: RegistryError.self) {
            try await client(quickSettings { $0.certificateFolders = [folders] }).manifest(reference)
        }
        #expect(damaged?.code == .invalidSetting)
    }

    @Test("a certificate for another host is refused, though its authority is trusted")
    func otherHost() async throws {
        let authority = try PrivateAuthority(name: "DNS:other.example")
        let registry = try RealRegistry(certificate: authority.certificate)
        let settings = quickSettings { $0.certificateFile = HostPath(authority.authorityFile) }
        let error = await #expect(throws: RegistryError.self) {
            try await client(settings).manifest(try registry.reference())
        }
        #expect(error?.code == .untrustedCertificate)
        #expect(error?.message.contains("another host") == true, "\(error?.message ?? "")")
    }
}
