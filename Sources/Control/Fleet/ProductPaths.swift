import AgentClient
import Glibc
import HostFiles

/// Where the product keeps things, and where its other programs are.
public struct ProductPaths: Sendable {
    /// What outlives a restart: `images`, `kernels`, `machines`, `settings`, `host`, `cache`.
    public let data: String
    /// Sockets and what else does not; short, because socket paths are.
    public let runtime: String
    /// The programs that people do not call themselves.
    public let libexec: String

    public init(data: String, runtime: String, libexec: String) {
        self.data = data
        self.runtime = runtime
        self.libexec = libexec
    }

    /// From the environment, the user and the place of the executable.
    public static func standard() -> ProductPaths {
        let isRoot = geteuid() == 0
        let home = variable("HOME") ?? "/"
        let data =
            variable("SWIFTLET_HOME")
            ?? (isRoot ? "/var/lib/swiftlet" : (variable("XDG_DATA_HOME") ?? home + "/.local/share") + "/swiftlet")
        let runtime =
            variable("SWIFTLET_RUNTIME")
            ?? (isRoot ? "/run/swiftlet" : runtime(ofUser: geteuid(), variable("XDG_RUNTIME_DIR")))
        return ProductPaths(
            data: absolute(data), runtime: absolute(runtime),
            libexec: absolute(variable("SWIFTLET_LIBEXEC") ?? besideExecutable()))
    }

    /// The same for all commands of a user's: those that a session's variables do not reach (`su`, `cron`) find the session's folder.
    static func runtime(ofUser user: UInt32, _ session: String?, below sessions: String = "/run/user") -> String {
        let folder = session ?? "\(sessions)/\(user)"
        let isThere = session != nil || (try? HostPath(folder).status())?.userID == user
        return isThere ? folder + "/swiftlet" : "/tmp/swiftlet-\(user)"
    }

    /// The monitor and the process in the background work elsewhere. In a folder that has been removed, a relative path
    /// stays as it is: the kernel finds nothing there, and says so.
    static func absolute(_ path: String) -> String {
        guard !path.hasPrefix("/"), let folder = try? HostPath.workingFolder() else { return path }
        return folder.appending(path).description
    }

    public var images: String { data + "/images" }
    public var kernels: String { data + "/kernels" }
    public var machines: String { data + "/machines" }
    public var policy: String { data + "/policy.json" }
    public var settings: String { data + "/settings" }
    public var cache: String { data + "/cache" }
    public var monitor: String { libexec + "/swiftlet-vmm" }
    public var agent: String { libexec + "/swiftlet-agent" }
    public var fabric: String { libexec + "/swiftlet-fabric" }

    /// Where the sockets of one machine are on this computer.
    func socketFolder(_ id: String) -> HostPath { HostPath(runtime).appending(id) }
    /// The monitor's `uds_path` there.
    func socketPath(_ id: String) -> String { socketFolder(id).appending("vsock").description }

    /// Makes the folder of all machines' sockets. The monitors of root's machines are other users, and pass through it.
    /// - Throws: where it is another user's: that one could put anything into it, and could not remove what root puts there.
    func makeRuntimeFolder() throws(FleetError) {
        let folder = HostPath(runtime)
        let status = try files { () throws(HostFileError) in
            try folder.makeFolders(mode: geteuid() == 0 ? 0o711 : 0o700)
            return try folder.status()
        }
        if status.userID == geteuid() || status.userID == 0 { return }
        throw FleetError(
            .unusableFolder,
            "\(runtime), where the sockets of machines are to lie, belongs to the user \(status.userID); name another folder with SWIFTLET_RUNTIME"
                + (geteuid() == 0 ? ", or run this as that user" : ", or have that one removed")
        )
    }

    /// Removes what a machine that has ended has left there.
    func removeSockets(_ id: String) { MachineStore.removeFiles(in: socketFolder(id)) }

    /// The longest path that `swiftlet-vmm` takes for its socket. Source: unix(7), less `_` and a port.
    static let maximumSocketPathBytes = 96

    private static func besideExecutable() -> String {
        let executable =
            (try? HostPath("/proc/self/exe").linkTarget()).map { String(decoding: $0, as: UTF8.self) } ?? ""
        let folder = executable.split(separator: "/").dropLast(2).joined(separator: "/")
        return "/" + folder + "/libexec/swiftlet"
    }

    static func variable(_ name: String) -> String? {
        // SAFETY: the text is copied before anybody could change the environment; this program never does.
        guard let value = unsafe getenv(name) else { return nil }
        let text = unsafe String(cString: value)
        return text.isEmpty ? nil : text
    }
}
