import CLinux
import Glibc
import LinuxCalls

/// Files that have no name until they are whole: of one whose process ends before that, nothing is left.
extension HostFile {
    /// Makes one, to be read and written.
    /// - Throws: `hasNoUnnamedFiles` where the file system has none of these.
    public init(unnamedIn folder: HostPath, mode: UInt32 = 0o644) throws(HostFileError) {
        try self.init(folder, [.readWrite, .unnamed], mode: mode)
    }

    /// Makes one that will never have a name.
    public static func scratch(in folder: HostPath) throws(HostFileError) -> HostFile {
        do throws(HostFileError) { return try HostFile(unnamedIn: folder, mode: 0o600) } catch {
            guard error.hasNoUnnamedFiles else { throw error }
            let path = folder.appending(".new-\(processID())-\(UInt64.random(in: 0...UInt64.max))")
            let file = try HostFile(path, [.readWrite, .create, .exclusive], mode: 0o600)
            try path.removeFile()
            return file
        }
    }

    /// Gives it a name, in the place of a file that has it.
    public func take(name path: HostPath) throws(HostFileError) {
        let temporary = path.folder.appending(".new-\(processID())-\(UInt64.random(in: 0...UInt64.max))")
        let source = HostPath("/proc/self/fd/\(descriptorNumber)")
        try source.link(as: temporary, followingLinks: true)
        do throws(HostFileError) { try temporary.rename(to: path) } catch {
            try? temporary.removeFile()
            throw error
        }
        try path.folder.synchronizeFolder()
    }
}

extension HostFileError {
    /// Old kernels' overlays, some of the network's file systems.
    public var hasNoUnnamedFiles: Bool { reason.number == EOPNOTSUPP || reason.number == EISDIR }
}

extension OpenFlags {
    /// Source: asm-generic/fcntl.h, O_TMPFILE, which holds O_DIRECTORY.
    fileprivate static let unnamed = OpenFlags(rawValue: 0o20_000_000 | CLinux.O_DIRECTORY)
}

extension HostPath {
    /// The one that it lies in.
    public var folder: HostPath {
        guard let slash = bytes.lastIndex(of: UInt8(ascii: "/")) else { return HostPath(".") }
        return HostPath(bytes: slash == 0 ? [UInt8(ascii: "/")] : Array(bytes[..<slash]))
    }

    /// How many bytes the user may still write on the disk that this folder is on; nil where nobody says.
    public var freeBytes: UInt64? {
        var status = statvfs()
        // SAFETY: the kernel fills the structure during the call.
        guard unsafe statvfs(description, &status) == 0 else { return nil }
        return UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize)).partialValue
    }
}
