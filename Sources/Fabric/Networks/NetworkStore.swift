public import AgentProtocol
public import FabricProtocol
import HostFiles
import LinuxCalls

/// The networks that there are to be: a folder each, with a record.
///
/// Several processes use it at once; who makes or removes a network, or takes addresses of one, holds the store's lock.
public struct NetworkStore: Sendable {
    private let root: HostPath

    /// - Parameter data: the folder of all that outlives a restart.
    public init(data: String) { root = HostPath(data).appending("networks") }

    func folder(_ name: String) -> HostPath { root.appending(name) }

    /// What a network is asked to be; nil and empty where it may choose.
    public struct Wish: Sendable {
        public var prefixes: [NetworkPrefix] = []
        public var hasIPv6 = false
        public var maximumTransmissionUnit: UInt32 = 1500
        public var reachesOutside = true
        public var reachableNetworks: [String] = []
        public var isPrivate = false
        /// Of machines; nil: the network has its own.
        public var gateways: [IPAddress]?
        /// Nil: those of this computer.
        public var nameServers: [IPAddress]?
        public var labels: [String: String] = [:]
        /// Whose it is; nil: nobody's.
        public var tenant: String?

        public init() {}
    }

    public static func check(name: String) throws(NetworkError) {
        guard FabricNetwork.isName(name), !reservedNames.contains(name) else {
            throw NetworkError(
                .invalidSetting,
                "\"\(name)\" cannot name a network; use small letters, digits and \"-\", at most \(FabricNetwork.mostNameBytes), and none of \"none\", \"tap\" and \"wire\""
            )
        }
    }

    /// What `--network` means by itself.
    public static let reservedNames = ["none", "tap", "wire"]

    /// Keeps all others from making and removing networks and from taking addresses, for as long as it is held.
    /// - Parameter isExclusive: otherwise others who want it so have it too.
    public func lock(isExclusive: Bool = true) throws(NetworkError) -> NetworkLock {
        try networkFiles { () throws(HostFileError) in
            try root.makeFolders(mode: 0o700)
            return try NetworkLock(root.appending(".lock"), isExclusive: isExclusive)
        }
    }

    /// Makes a network of what was asked for.
    @discardableResult
    public func create(_ name: String, _ wish: Wish) throws(NetworkError) -> NetworkRecord {
        try Self.check(name: name)
        guard FabricNetwork.maximumTransmissionUnits.contains(wish.maximumTransmissionUnit) else {
            throw NetworkError(
                .invalidSetting,
                "packets have \(FabricNetwork.maximumTransmissionUnits.lowerBound) to \(FabricNetwork.maximumTransmissionUnits.upperBound) bytes, not \(wish.maximumTransmissionUnit) (--mtu)"
            )
        }
        guard wish.reachesOutside && wish.gateways == nil || wish.nameServers == nil else {
            throw NetworkError(
                .invalidSetting,
                "an isolated network, and one that a machine leads out of, asks nobody for names; leave out --dns")
        }
        if let tenant = wish.tenant, !FabricNetwork.isName(tenant) {
            throw NetworkError(
                .invalidSetting,
                "\"\(tenant)\" cannot name a tenant; use small letters, digits and \"-\", at most \(FabricNetwork.mostNameBytes) (--tenant)"
            )
        }
        let lock = try lock()
        defer { extendLifetime(lock) }
        let others = list()
        guard !folder(name).exists else {
            throw NetworkError(
                .duplicateName,
                "a network is called \"\(name)\" already; choose another name, or remove it: swiftlet network rm \(name)"
            )
        }
        var reached: [NetworkRecord] = []
        for name in wish.reachableNetworks {
            guard let other = others.first(where: { $0.name == name }) else { throw Self.unknown(name) }
            try Self.check(reaching: other)
            reached.append(other)
        }
        try Self.check(wish)
        let prefixes = try Self.prefixes(wish, others)
        try Self.check(wish.gateways ?? [], in: prefixes)
        let record = NetworkRecord(
            name: name, number: try Self.freeNumber(others), prefixes: prefixes.map(\.description),
            maximumTransmissionUnit: wish.maximumTransmissionUnit,
            reachesOutside: wish.reachesOutside && wish.gateways == nil,
            reachableNetworks: wish.reachableNetworks, isPrivate: wish.isPrivate,
            gateways: wish.gateways?.map(\.description), labels: wish.labels,
            createdSeconds: Int64(Clock.realTime.nanoseconds() / 1_000_000_000),
            nameServers: wish.nameServers?.map(\.description), tenant: wish.tenant)
        for other in reached { try record.checkMeeting(other) }
        try networkFiles { () throws(HostFileError) in try folder(name).makeFolders(mode: 0o700) }
        do throws(NetworkError) { try record.write(to: folder(name)) } catch {
            // A folder without a record would keep the name.
            try? folder(name).removeEmptyFolder()
            throw error
        }
        return record
    }

    /// By their names.
    public func list() -> [NetworkRecord] {
        ((try? root.folderNames()) ?? []).map { String(decoding: $0, as: UTF8.self) }
            .filter { !$0.hasPrefix(".") }.sorted().compactMap { NetworkRecord.read(from: folder($0)) }
    }

    public func find(_ name: String) throws(NetworkError) -> NetworkRecord {
        try Self.check(name: name)
        if let record = NetworkRecord.read(from: folder(name)) { return record }
        guard folder(name).exists else { throw Self.unknown(name) }
        throw NetworkError(
            .damaged,
            "the record of the network \"\(name)\" cannot be read; `swiftlet network rm --force \(name)` removes it")
    }

    static func unknown(_ name: String) -> NetworkError {
        NetworkError(
            .unknown,
            "no network is called \"\(name)\"; `swiftlet network ls` shows what there is, and `swiftlet network create \(name)` makes it"
        )
    }

    /// Removes a network that nobody uses.
    /// - Parameters:
    ///   - users: the machines that are in it, asked for when no more can come into it.
    ///   - isForced: one whose record cannot be read goes too.
    public func remove(
        _ name: String, isForced: Bool = false, users: () -> [String]
    ) throws(NetworkError) {
        try Self.check(name: name)
        let lock = try lock()
        defer { extendLifetime(lock) }
        do throws(NetworkError) { _ = try find(name) } catch {
            guard error.code == .damaged, isForced else { throw error }
        }
        let users = users()
        guard users.isEmpty else {
            throw NetworkError(
                .inUse,
                "machines are in the network \"\(name)\" (\(users.joined(separator: ", "))); take them out before (swiftlet network disconnect \(name) MACHINE, also while it runs), or remove them: swiftlet rm --force \(users.joined(separator: " "))"
            )
        }
        if let other = list().first(where: { $0.reachableNetworks.contains(name) }) {
            throw NetworkError(.inUse, "the network \"\(other.name)\" is to reach \"\(name)\"; remove it before")
        }
        try networkFiles { () throws(HostFileError) in try NetworkRecord.remove(from: folder(name)) }
    }
}

/// Held by whoever changes what networks and addresses there are; let go of with the last reference.
public final class NetworkLock: Sendable {
    private let file: HostFile

    init(_ path: HostPath, isExclusive: Bool) throws(HostFileError) {
        file = try HostFile(path, [.readWrite, .create], mode: 0o600)
        try file.lock(isExclusive: isExclusive)
    }
}
