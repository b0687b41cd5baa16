import CLinux
public import LinuxCalls

/// Why a vsock device could not be made. Host faults.
public struct VsockError: Error, Equatable, Sendable, CustomStringConvertible {
    public let path: String
    public let cause: LinuxError

    public var description: String {
        switch cause.number {
        case EADDRINUSE:
            "vsock.uds_path: \(path) exists already; remove it, or name another path"
        case ENAMETOOLONG:
            "vsock.uds_path: \(path) has \(path.utf8.count) bytes; \(VsockBackend.maximumPathBytes) are the most, "
                + "because \"_PORT\" is appended to it"
        case ENOENT:
            "vsock.uds_path: the folder of \(path) does not exist; make it, or name another path"
        case EACCES, EPERM:
            "vsock.uds_path: \(path) may not be made (\(cause)); let this user write to its folder, or name another path"
        default:
            "vsock.uds_path: \(path): \(cause)"
        }
    }
}

/// The host's side of a vsock device: a listening Unix socket for programs that want a port of the guest, and the names
/// of the sockets where guests that want a port of the host are connected to (`PATH_PORT`).
public struct VsockBackend: ~Copyable {
    /// Leaves room for `_` and ten digits.
    public static let maximumPathBytes = UnixSocket.maximumPathBytes - 11

    public let path: String
    let listener: FileDescriptor
    private var ownsPath: Bool

    /// Listens at `path`, which must not exist.
    public init(path: String) throws(VsockError) {
        guard path.utf8.count <= Self.maximumPathBytes else {
            throw VsockError(path: path, cause: LinuxError(ENAMETOOLONG))
        }
        do throws(LinuxError) { listener = try UnixSocket.listen(path) } catch {
            throw VsockError(path: path, cause: error)
        }
        self.path = path
        ownsPath = true
    }

    /// Takes over a socket that listens already; `path` is used for the guest's connections only and left alone.
    public init(path: String, listening listener: consuming FileDescriptor) throws(VsockError) {
        guard path.utf8.count <= Self.maximumPathBytes else {
            throw VsockError(path: path, cause: LinuxError(ENAMETOOLONG))
        }
        do throws(LinuxError) { try setNonBlocking(listener.number) } catch {
            throw VsockError(path: path, cause: error)
        }
        self.listener = listener
        self.path = path
        ownsPath = false
    }

    deinit { if ownsPath { try? removeFile(path) } }

    /// Removes the name, if it was made here; otherwise the end of this value does.
    mutating func removePath() {
        if ownsPath { try? removeFile(path) }
        ownsPath = false
    }

    /// Connects to whoever listens for the guest's connections to `port`.
    func connect(port: UInt32) throws(LinuxError) -> FileDescriptor {
        try UnixSocket.connect(VsockHandshake.line(path.utf8, 0x5f, port))
    }
}

/// The line by which a host program names the guest's port. Trust: any local program may write anything.
enum VsockHandshake {
    /// `CONNECT 4294967295\r\n` is 20 bytes.
    static let maximumLineBytes = 32

    enum Judgement: Equatable {
        /// Not whole yet.
        case incomplete
        case malformed
        /// The line is whole: so many bytes, and this port.
        case port(UInt32, lineBytes: Int)
    }

    /// What is said to a program whose connection the guest has accepted: `OK PORT`.
    static func acceptance(hostPort: UInt32) -> [UInt8] {
        var line = line("OK".utf8, 0x20, hostPort)
        line.append(0x0a)
        return line
    }

    /// A text and a number in decimal, with `separator` between them. Put together byte by byte: a connection shall not bring
    /// the code of texts into the memory of a monitor that needs it for nothing else.
    static func line(_ text: String.UTF8View, _ separator: UInt8, _ number: UInt32) -> [UInt8] {
        var line = [UInt8](text)
        line.append(separator)
        var divisor: UInt32 = 1
        while number / divisor >= 10 { divisor *= 10 }
        while divisor > 0 {
            line.append(UInt8(truncatingIfNeeded: number / divisor % 10) + 0x30)
            divisor /= 10
        }
        return line
    }

    /// Judges what has come so far.
    static func judge(_ bytes: Span<UInt8>) -> Judgement {
        var position = 0
        let keyword: StaticString = "CONNECT "
        // Whatever cannot become a good line is refused at once.
        let isKeyword = keyword.withUTF8Buffer { expected in
            while position < bytes.count && position < expected.count {
                // SAFETY: the position is below the count.
                let wanted = unsafe expected[position]
                let got = bytes[position]
                guard got == wanted || (got ^ 0x20 == wanted && wanted != 0x20) else { return false }
                position += 1
            }
            return true
        }
        guard isKeyword else { return .malformed }
        if position < 8 { return .incomplete }
        var port: UInt32 = 0
        var digits = 0
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            switch byte {
            case 0x30...0x39:
                let (tens, isTooLarge) = port.multipliedReportingOverflow(by: 10)
                let (sum, isOverflow) = tens.addingReportingOverflow(UInt32(byte - 0x30))
                guard !isTooLarge, !isOverflow, digits < 10 else { return .malformed }
                port = sum
                digits += 1
            case 0x0d where digits > 0:
                if position == bytes.count { return bytes.count < maximumLineBytes ? .incomplete : .malformed }
                guard bytes[position] == 0x0a else { return .malformed }
                return .port(port, lineBytes: position + 1)
            case 0x0a where digits > 0:
                return .port(port, lineBytes: position)
            default:
                return .malformed
            }
        }
        return bytes.count < maximumLineBytes ? .incomplete : .malformed
    }
}
