import CLinux
public import LinuxCalls

/// What could not be done to which file of the host, and the kernel's reason.
public struct HostFileError: Error, Equatable, Sendable {
    /// A verb, as in "cannot *open* /etc/hosts".
    public let operation: String
    public let path: HostPath
    public let reason: LinuxError

    public init(_ operation: String, _ path: HostPath, _ reason: LinuxError) {
        self.operation = operation
        self.path = path
        self.reason = reason
    }

    /// The disk, or the user's share of it, is full.
    public var isDiskFull: Bool { reason.number == ENOSPC || reason.number == EDQUOT }

    /// Whoever was to read it has gone away.
    public var isBrokenPipe: Bool { reason.number == EPIPE }

    /// Nothing of that name is there, and nothing else stands in the way to it.
    public var isAbsent: Bool { reason.number == ENOENT }

    public var isMissing: Bool { reason.number == ENOENT || reason.number == ENOTDIR }
}

extension HostFileError: CustomStringConvertible {
    public var description: String { "cannot \(operation) \(path): \(reason)" }
}

extension HostPath {
    /// Calls the kernel with this path, and names both in the error.
    ///
    /// - Safety: `call` gets the address of the path ended by a zero byte, valid during the call only.
    @discardableResult
    func call(_ operation: String, _ call: (Int) throws(LinuxError) -> Int) throws(HostFileError) -> Int {
        guard !bytes.contains(0) else { throw HostFileError(operation, self, LinuxError(EINVAL)) }
        let terminated = bytes + [0]
        do throws(LinuxError) {
            // SAFETY: the array lives until after the call, which receives only its address.
            return unsafe try terminated.span.withUnsafeBufferPointer { buffer throws(LinuxError) in
                try call(Int(bitPattern: buffer.baseAddress))
            }
        } catch {
            throw HostFileError(operation, self, error)
        }
    }
}
