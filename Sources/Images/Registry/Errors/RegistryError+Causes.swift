import AsyncHTTPClient
import HostFiles
import LinuxCalls
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

extension RegistryError {
    init(_ error: HostFileError) {
        if error.isDiskFull {
            self.init(.diskFull, "the disk that holds \(error.path) is full; make room and try again")
        } else {
            self.init(.unusableFile, error.description)
        }
    }

    /// What the HTTP client threw while it talked to `address`.
    init(_ error: any Error, at address: WebAddress, settings: RegistrySettings) {
        let host = address.authority
        switch error {
        case let error as RegistryError: self = error
        case let error as HostFileError: self.init(error)
        case is CancellationError: self.init(.cancelled, "cancelled")
        case let error as HTTPClientError: self.init(error, host: host)
        case let error as NIOConnectionError: self.init(error, host: host)
        case HTTPParserError.invalidEOFState, HTTPParserError.closedConnection:
            self.init(.unreachable, "\(host) closed the connection before its answer was whole", isTransient: true)
        case is HTTPParserError:
            self.init(.invalidAnswer, "\(host) answers with something that is not HTTP; check the host and the port")
        case let error as IOError where error.errnoCode == ECONNREFUSED:
            self.init(.unreachable, "nobody listens at \(host); check the name and the port")
        case let error as IOError:
            self.init(
                .unreachable, "the connection to \(host) broke: \(LinuxError(error.errnoCode))", isTransient: true)
        case is NIOSSLError, is NIOSSLExtraError, is BoringSSLError:
            self.init(tls: error, at: address, settings: settings)
        case let error as ChannelError:
            if case .connectTimeout = error {
                self.init(.unreachable, "\(host) cannot be reached: no answer in time", isTransient: true)
            } else {
                self.init(.unreachable, "the connection to \(host) broke", isTransient: true)
            }
        default:
            self.init(
                .unreachable, "the connection to \(host) broke: \(Printable.text("\(error)", limit: 200))",
                isTransient: true)
        }
    }

    private init(_ error: HTTPClientError, host: String) {
        switch error {
        case .cancelled: self.init(.cancelled, "cancelled")
        case .readTimeout, .writeTimeout, .deadlineExceeded:
            self.init(.timedOut, "\(host) did not answer in time; try again later", isTransient: true)
        case .connectTimeout, .tlsHandshakeTimeout, .getConnectionFromPoolTimeout:
            self.init(
                .unreachable, "\(host) cannot be reached: no answer in time; check the name and the network",
                isTransient: true)
        case .remoteConnectionClosed, .uncleanShutdown:
            self.init(.unreachable, "\(host) closed the connection before its answer was whole", isTransient: true)
        case .invalidURL, .emptyHost, .emptyScheme:
            self.init(.invalidAnswer, "\(host) is no address that can be asked")
        default:
            self.init(
                .unreachable, "the exchange with \(host) failed: \(Printable.text("\(error)", limit: 200))",
                isTransient: true)
        }
    }

    private init(_ error: NIOConnectionError, host: String) {
        if let failure = error.connectionErrors.first {
            let reason =
                switch failure.error {
                case let error as IOError: "\(LinuxError(error.errnoCode))"
                case is ChannelError: "no answer in time"
                default: Printable.text("\(failure.error)", limit: 200)
                }
            self.init(
                .unreachable, "\(host) cannot be reached: \(reason); check the name, the port and the network",
                isTransient: true)
        } else {
            self.init(
                .unreachable, "there is no host \(host), or its name cannot be looked up now; check the name",
                isTransient: true)
        }
    }

    private init(tls error: any Error, at address: WebAddress, settings: RegistrySettings) {
        let (host, text) = (address.authority, "\(error)")
        if text.contains("failedToValidateHostname") || text.contains("Couldn't find hostname") {
            self.init(
                .untrustedCertificate,
                "the certificate of \(host) is for another host; use the name that is in it")
        } else if text.contains("CERTIFICATE_VERIFY_FAILED") || text.contains("unableToValidateCertificate") {
            let folders = TrustedCertificates.folders(of: address, in: settings.certificateFolders)
            self.init(
                .untrustedCertificate,
                "nobody trusted here signed the certificate of \(host); put the certificate of its authority, as a "
                    + ".crt file, into \(folders.first.map { "\($0)/" } ?? "a folder for it"), or name it by --ca-file")
        } else if text.contains("WRONG_VERSION_NUMBER") || text.contains("HTTP_REQUEST") {
            self.init(
                .insecure,
                "\(host) speaks no TLS; plain HTTP is only used with this machine itself, or with --insecure")
        } else if text.contains("uncleanShutdown") || text.contains("EOF during handshake") {
            self.init(.unreachable, "\(host) closed the connection before its answer was whole", isTransient: true)
        } else {
            self.init(
                .unreachable, "no TLS connection to \(host) comes about: \(Printable.text(text, limit: 200))")
        }
    }
}
