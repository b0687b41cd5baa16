import Glibc
import HostFiles

/// A folder of this computer that a machine has at a place of its own.
public struct SharedFolder: Codable, Equatable, Sendable {
    /// Here; absolute.
    public var path: String
    /// In the guest.
    public var target: String
    public var isReadOnly: Bool

    /// The most folders of a machine.
    static let most = 8

    /// Whether `-v` names a folder and not a volume.
    public static func isOne(_ text: String) -> Bool {
        let first = text.prefix { $0 != ":" }
        return first.contains("/") || first == "." || first == ".." || first.hasPrefix("~")
    }

    /// Reads `FOLDER:/path`, `FOLDER:/path:ro` and `FOLDER:/path:rw`.
    /// - Parameter absolute: makes the folder's path absolute.
    public init(parsing text: String, absolute: (String) throws -> String) throws {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard (2...3).contains(parts.count), parts.count == 2 || parts[2] == "ro" || parts[2] == "rw" else {
            throw FleetError(
                .invalidSetting,
                "\"\(text)\" shares no folder; write FOLDER:/path, with :ro to read only (-v). A folder with a colon in its path cannot be shared"
            )
        }
        path = try absolute(parts[0])
        target = try GuestPath.checked(parts[1], "-v")
        isReadOnly = parts.count == 3 && parts[2] == "ro"
    }

    /// Whose files are the guest's root's: this user's, unless that is root, who can give files to anybody.
    static var owner: (user: UInt32, group: UInt32)? { geteuid() == 0 ? nil : (geteuid(), getegid()) }

    /// What can be known of the folder before the machine is made.
    func check() throws(FleetError) {
        let status: FileStatus
        do throws(HostFileError) { status = try HostPath(path).status() } catch {
            throw FleetError(
                .unusableFolder, "the folder \(path) cannot be shared: \(error.reason). Make it first: mkdir -p \(path)"
            )
        }
        guard status.isFolder else {
            throw FleetError(
                .unusableFolder, "\(path) is no folder; single files are handed in with --file \(path):\(target)")
        }
        guard !Self.lies(path, below: "/proc") else {
            throw FleetError(
                .unusableFolder,
                "\(path) cannot be shared: it holds the memory of this computer's processes, the machine's own monitor among them. Choose the folder that the machine really needs"
            )
        }
    }

    private static func lies(_ path: String, below folder: String) -> Bool {
        let real = resolved(path)
        return real == folder || real.hasPrefix(folder + "/")
    }

    private static func resolved(_ path: String) -> String {
        guard let resolved = unsafe realpath(path, nil) else { return path }
        defer { unsafe free(resolved) }
        // SAFETY: the C library's text ends with a zero byte.
        return unsafe String(cString: resolved)
    }

    /// The emulated host has folders of its own where this computer's kernel keeps its.
    func checkReachable(isEmulated: Bool) throws(FleetError) {
        guard isEmulated else { return }
        for own in ["/dev", "/proc", "/sys", "/run"] where Self.lies(path, below: own) {
            throw FleetError(
                .unusableFolder,
                "the folder \(path) cannot be shared here: machines run in the emulated host, which has a \(own) of its own. Choose a folder elsewhere"
            )
        }
    }
}
