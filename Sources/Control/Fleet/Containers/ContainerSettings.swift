import AgentProtocol

/// What container engines let one say about a program and its surroundings: the image's word, or what stands above it.
public struct ContainerSettings: Codable, Equatable, Sendable {
    /// What the program gets when it is to end.
    public var stopSignal: UInt8 = 15
    /// How long it then has.
    public var stopTimeoutSeconds: Double = 10
    public var restart = RestartPolicy()
    public var healthCheck: HealthCheck?
    public var whenUnhealthy = UnhealthyAction.nothing
    /// `80/tcp` and the like. Known, and nothing more: who reaches a port is a matter of the network.
    public var exposedPorts: [String] = []
    /// Folders that the image declares volumes; those that no named volume takes lie in the root's layer in memory.
    public var imageVolumes: [String] = []
    public var volumes: [VolumeAttachment] = []
    /// Nil in what an earlier version has written down.
    private var sharedFolders: [SharedFolder]?
    public var folders: [SharedFolder] {
        get { sharedFolders ?? [] }
        set { sharedFolders = newValue }
    }
    public var labels: [String: String] = [:]
    /// Names or numbers besides those that the image's files give the user.
    public var groups: [String] = []
    /// Lines of `/etc/hosts`; `host-gateway` for an address is this computer's on the machine's own network.
    public var hostEntries: [HostAddress] = []
    public var nameServers: [String] = []
    public var searchDomains: [String] = []
    public var temporaryFolders: [TemporaryFolder] = []
    public var sharedMemoryBytes: UInt64?
    /// Whether the root is not to be written to.
    public var isReadOnly = false
    /// Where files that are handed in lie in the guest. What is in them is written nowhere.
    public var handedIn: [String] = []

    public struct HostAddress: Codable, Equatable, Sendable {
        public static let gateway = "host-gateway"
        public var name: String
        public var address: String

        /// Reads `NAME:ADDRESS`.
        public init(parsing text: String) throws(FleetError) {
            guard let colon = text.firstIndex(of: ":"), colon > text.startIndex else { throw Self.unreadable(text) }
            name = String(text[..<colon])
            let rest = String(text[text.index(after: colon)...])
            if rest == Self.gateway {
                address = rest
            } else if let parsed = IPAddress(rest) {
                address = parsed.description
            } else {
                throw Self.unreadable(text)
            }
            guard ByteString(name).isOneWord, name.utf8.count <= Limits.domainBytes else { throw Self.unreadable(text) }
        }

        private static func unreadable(_ text: String) -> FleetError {
            FleetError(
                .invalidSetting, "\"\(text)\" names no host; write NAME:ADDRESS, or NAME:host-gateway (--add-host)")
        }
    }

    public init() {}

    /// The guest's folder for secrets: a file system of its own in memory, which takes no programs and no devices.
    public static let secretsFolder = "/run/secrets"

    var holdsSecrets: Bool { handedIn.contains { $0.hasPrefix(Self.secretsFolder + "/") } }

    /// What can be known before anything is made.
    func check() throws(FleetError) {
        guard groups.count <= Limits.groups, !groups.contains(where: { $0.isEmpty || $0.utf8.count > Limits.userBytes })
        else {
            throw FleetError(.invalidSetting, "a program has at most \(Limits.groups) further groups (--group-add)")
        }
        guard nameServers.count <= Limits.nameServers, nameServers.allSatisfy({ IPAddress($0) != nil }) else {
            throw FleetError(
                .invalidSetting, "name servers are given by their addresses, at most \(Limits.nameServers) (--dns)")
        }
        guard searchDomains.count <= Limits.searchDomains,
            searchDomains.allSatisfy({ ByteString($0).isOneWord && $0.utf8.count <= Limits.domainBytes })
        else {
            throw FleetError(
                .invalidSetting, "search domains are words, at most \(Limits.searchDomains) (--dns-search)")
        }
        guard hostEntries.count <= Limits.hostEntries else {
            throw FleetError(.invalidSetting, "at most \(Limits.hostEntries) hosts can be added (--add-host)")
        }
        // The secrets' folder, shared memory and the root's own mount are mounts too.
        guard volumes.count + folders.count + temporaryFolders.count + 3 <= Limits.mounts else {
            throw FleetError(
                .invalidSetting, "a machine has at most \(Limits.mounts - 3) volumes and folders")
        }
        guard folders.count <= SharedFolder.most else {
            throw FleetError(
                .invalidSetting,
                "a machine has at most \(SharedFolder.most) folders of this computer; share one above them")
        }
        for folder in folders { try folder.check() }
        var places = volumes.map(\.target) + folders.map(\.target) + temporaryFolders.map(\.path)
        if let again = Set(places).first(where: { place in places.count(where: { $0 == place }) > 1 }) {
            throw FleetError(.invalidSetting, "\(again) is to be two things at once; name each place once")
        }
        places = folders.map(\.target)
        for path in handedIn {
            guard let folder = places.first(where: { path.hasPrefix($0 + "/") || $0 == path }) else { continue }
            throw FleetError(
                .invalidSetting,
                "\(path) lies in the shared folder at \(folder), which is on a disk; what is handed in goes to memory only. Choose another place for it"
            )
        }
        places = volumes.map(\.target)
        for path in handedIn {
            guard let volume = places.first(where: { path.hasPrefix($0 + "/") || $0 == path }) else { continue }
            throw FleetError(
                .invalidSetting,
                "\(path) lies on the volume at \(volume), which is a disk; what is handed in goes to memory only. Choose another place for it"
            )
        }
    }
}

/// A folder of the guest that is memory of its own.
public struct TemporaryFolder: Codable, Equatable, Sendable {
    public var path: String
    /// Of tmpfs, as mount(8) has them.
    public var options: String
    public var isReadOnly = false
    public var allowsExecution = false

    /// Reads `PATH[:OPTION,OPTION…]`.
    public init(parsing text: String) throws(FleetError) {
        let halves = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        path = try GuestPath.checked(halves[0], "--tmpfs")
        var rest: [Substring] = []
        for word in halves.count > 1 ? halves[1].split(separator: ",") : [] {
            switch word {
            case "ro": isReadOnly = true
            case "rw": isReadOnly = false
            case "exec": allowsExecution = true
            case "noexec": allowsExecution = false
            case "nosuid", "nodev": break
            default: rest.append(word)
            }
        }
        if !rest.contains(where: { $0.hasPrefix("mode=") }) { rest.append("mode=1777") }
        options = rest.joined(separator: ",")
        guard options.utf8.count <= Limits.mountOptionBytes else {
            throw FleetError(.invalidSetting, "the options of \(path) are too long (--tmpfs)")
        }
    }
}

/// Paths in a guest that people give.
public enum GuestPath {
    /// Absolute, no part of it `.` or `..`, without a slash at its end and not the root.
    public static func checked(_ path: String, _ option: String) throws(FleetError) -> String {
        let parts = path.split(separator: "/", omittingEmptySubsequences: true)
        guard path.hasPrefix("/"), !parts.isEmpty, path.utf8.count <= Limits.pathBytes,
            parts.allSatisfy({ ByteString(String($0)).isFileName })
        else {
            throw FleetError(
                .invalidSetting,
                "\"\(path)\" is no place in a machine; give a path from its root, without . and .. in it (\(option))")
        }
        return "/" + parts.joined(separator: "/")
    }
}
