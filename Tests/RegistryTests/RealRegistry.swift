import ChildProcesses
import Foundation
import Glibc
import HostFiles
import ImageFixtures
import LinuxCalls

@testable import Registry

/// Debian's registry, running on a free port of this machine until the test lets go of it.
final class RealRegistry: Sendable {
    static let isInstalled = hasTool("docker-registry") && hasTool("skopeo") && hasTool("umoci") && hasTool("openssl")
    /// What `htpasswd -B` makes of "open sesame"; the registry knows no other kind.
    private static let passwordLine = "ali:$2b$04$CB3//2ToL6.rALTlNrQNAu1D1cdYqEwFu4W0HIxb/GhPpPy5OrUKu\n"
    static let credential = Credential.password(user: "ali", password: "open sesame")

    let scratch: ScratchFolder
    let port: Int
    private let process: ChildProcess
    /// The end of its input that keeps it running.
    private let input: Int32

    var host: String { "127.0.0.1:\(port)" }

    init(hasPassword: Bool = false, certificate: (file: String, key: String)? = nil) throws {
        let scratch = try ScratchFolder()
        self.scratch = scratch
        var text = """
            version: 0.1
            log: {level: info}
            storage:
              filesystem: {rootdirectory: \(scratch.appending("storage"))}
              delete: {enabled: true}
            http:
              addr: 127.0.0.1:0
              secret: test

            """
        if let certificate { text += "  tls: {certificate: \(certificate.file), key: \(certificate.key)}\n" }
        if hasPassword {
            let file = try scratch.write("htpasswd", Array(Self.passwordLine.utf8))
            text += "auth:\n  htpasswd: {realm: test, path: \(file)}\n"
        }
        try scratch.write("config.yml", Array(text.utf8))
        try scratch.write("log", [])
        // A shell between, so that it ends with the tests, whatever becomes of them: its input ends then.
        var settings = ChildProcess.Settings([
            "/bin/sh", "-c", #"/usr/bin/docker-registry serve "$0" & cat > /dev/null; kill $!; wait $!"#,
            scratch.appending("config.yml"),
        ])
        settings.environment = ["OTEL_TRACES_EXPORTER=none", "HOME=\(scratch.path)", "PATH=/usr/bin:/bin"]
        let log = try HostFile(HostPath(scratch.appending("log")), [.writeOnly, .append])
        // Closed on exec, so that no other child keeps it open.
        var ends: [Int32] = [0, 0]
        guard unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            throw LinuxError(errno)
        }
        settings.descriptors = [0: ends[0], 1: log.descriptorNumber, 2: log.descriptorNumber]
        process = try ChildProcess(settings)
        input = ends[1]
        close(ends[0])
        do { port = try Self.port(in: scratch) } catch {
            close(input)
            _ = process.wait()
            throw error
        }
    }

    deinit {
        close(input)
        _ = process.wait()
    }

    /// The registry chooses a free port itself, and says which.
    private static func port(in scratch: ScratchFolder) throws -> Int {
        struct DidNotStart: Error { let log: String }
        for _ in 0..<2000 {
            let log = String(decoding: try readFile(scratch.appending("log")), as: UTF8.self)
            if let mark = log.range(of: "listening on 127.0.0.1:"),
                let port = Int(log[mark.upperBound...].prefix { $0.isNumber }),
                log[mark.upperBound...].contains(where: { !$0.isNumber })
            {
                return port
            }
            Thread.sleep(forTimeInterval: 0.005)
        }
        throw DidNotStart(log: String(decoding: try readFile(scratch.appending("log")), as: UTF8.self))
    }

    /// Makes an OCI layout `layout` with the image `t` out of one layer, and gives it to the registry as `a/b:t`.
    func fill(_ options: String = "--dest-tls-verify=false") throws {
        var tar = TarBytes()
        tar.add("file", content(700_000))
        try scratch.write("layer.tar", tar.finished())
        try shell(
            """
            umoci init --layout layout
            umoci new --image layout:t
            umoci raw add-layer --image layout:t layer.tar
            skopeo --insecure-policy copy --quiet \(options) oci:layout:t docker://\(host)/a/b:t
            """, in: scratch.path)
    }

    func reference(_ rest: String = "a/b:t") throws -> ImageReference { try ImageReference("\(host)/\(rest)") }
}

/// An authority of its own and a certificate for 127.0.0.1 or another name, made with openssl.
struct PrivateAuthority {
    let scratch: ScratchFolder
    var authorityFile: String { scratch.appending("ca.crt") }
    var certificate: (file: String, key: String) { (scratch.appending("server.crt"), scratch.appending("server.key")) }

    init(name: String = "IP:127.0.0.1") throws {
        scratch = try ScratchFolder()
        try shell(
            """
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=authority \\
                -keyout ca.key -out ca.crt 2>/dev/null
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=server \\
                -keyout server.key -out server.csr 2>/dev/null
            printf 'subjectAltName=%s\\n' '\(name)' > extensions
            openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile extensions \\
                -out server.crt 2>/dev/null
            """, in: scratch.path)
    }
}
