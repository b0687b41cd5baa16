import AgentProtocol
import FabricProtocol
import LinuxCalls

/// Where a fabric that runs has its socket, its name for the namespace, and what it was told.
public struct EngineFolder: Sendable {
    public let path: String

    public init(_ path: String) { self.path = path }

    public var socket: String { path + "/socket" }
    /// The engine's own: two at once would undo each other's work.
    var lock: String { path + "/lock" }
    /// That of the process that keeps an ordinary user's namespaces.
    var holder: String { path + "/holder" }
    /// Where the program that leads out of an ordinary user's fabric takes requests.
    var slirp: String { path + "/slirp" }
    /// The network namespace is bound to it, so that it outlives the engine.
    public var namespace: String { path + "/netns" }
    public var plan: String { path + "/plan.json" }
    public var log: String { path + "/log" }
    /// The number of the link out of the fabric.
    var uplink: String { path + "/uplink" }

    /// What the engine and the process of a stretch tell each other.
    public func stretchPage(_ port: UInt16) -> String { path + Self.stretchPage + String(port) }
    private static let stretchPage = "/impaired-"
    /// Nil for another file's name.
    static func port(ofStretchPage name: [UInt8]) -> UInt16? {
        let start = stretchPage.utf8.dropFirst()
        return name.starts(with: start) ? UInt16(String(decoding: name[start.count...], as: UTF8.self)) : nil
    }

    /// Settings and files of the names and addresses of one network.
    func names(_ network: FabricNetwork) -> NameFolder { names(network.number) }
    func names(_ network: UInt16) -> NameFolder { NameFolder(path: path + Self.names + String(network)) }
    private static let names = "/names-"

    /// The same for those of its machines that may not reach everything.
    func strictNames(_ network: UInt16) -> NameFolder {
        NameFolder(path: path + Self.names + String(network) + "-strict")
    }

    /// The same for machines that find the names of several networks, by the port of who answers them.
    func viewNames(_ server: UInt16) -> NameFolder { NameFolder(path: path + Self.viewNames + String(server)) }
    private static let viewNames = names + "view-"

    /// The ports of those.
    var servedViews: [UInt16] {
        let prefix = path + Self.viewNames
        return allNames.compactMap { folder in
            folder.path.hasPrefix(prefix)
                ? UInt16(String(decoding: folder.path.utf8.dropFirst(prefix.utf8.count), as: UTF8.self)) : nil
        }
    }

    /// Those that there are, of any kind.
    var allNames: [NameFolder] {
        guard let folder = try? FileTree.open([UInt8](path.utf8), [.readOnly, .directory]) else { return [] }
        return ((try? FileTree.names(in: folder.number)) ?? []).compactMap { name in
            let name = "/" + String(decoding: name, as: UTF8.self)
            return name.hasPrefix(Self.names) ? NameFolder(path: path + name) : nil
        }
    }

    /// Makes a folder, and those above it.
    static func make(_ path: String) throws(FabricFault) {
        let bytes = [UInt8](path.utf8)
        for end in 1...bytes.count where end == bytes.count || bytes[end] == UInt8(ascii: "/") {
            do throws(LinuxError) { try FileTree.makeDirectory(Array(bytes[..<end]), mode: 0o755) } catch {
                if error != .exists { throw FabricFault("\(path) cannot be made: \(error)") }
            }
        }
    }

    /// Puts a file in the place of another as a whole.
    /// - Parameter draft: where it is written before; nil: beside it.
    static func write(_ bytes: [UInt8], to path: String, by draft: String? = nil) throws(FabricFault) {
        do throws(LinuxError) {
            let draft = draft ?? path + ".new"
            let file = try open(draft, [.writeOnly, .create, .truncate], mode: 0o644)
            try writeAll(file.number, bytes)
            try FileTree.rename([UInt8](draft.utf8), to: [UInt8](path.utf8))
        } catch {
            throw FabricFault("\(path) cannot be written: \(error)")
        }
    }

    static func read(_ path: String, maximumBytes: Int) -> [UInt8]? {
        guard let file = try? open(path, .readOnly) else { return nil }
        return try? FileTree.contents(file.number, maximumBytes: maximumBytes)
    }
}

/// What dnsmasq reads for one network.
struct NameFolder {
    let path: String
    var settings: String { path + "/settings" }
    var pidFile: String { path + "/pid" }
    /// Where files of the two folders are written before they are in them: what is in them is read at once.
    var draft: String { path + "/draft" }
    var names: String { path + "/hosts" }
    var leases: String { path + "/leases" }
    /// Which addresses dnsmasq has given to whom.
    var given: String { path + "/given" }

    func name(_ port: UInt16) -> String { names + "/" + String(port) }
    /// The ports that have a file of names there.
    var named: [UInt16] {
        guard let directory = try? FileTree.open([UInt8](names.utf8), [.readOnly, .directory]) else { return [] }
        return ((try? FileTree.names(in: directory.number)) ?? []).compactMap {
            UInt16(String(decoding: $0, as: UTF8.self))
        }
    }
    func lease(_ port: UInt16) -> String { leases + "/" + String(port) }
}

extension NameFolder {
    /// Takes all that is in it away.
    func remove() {
        for folder in [names, leases] {
            guard let directory = try? FileTree.open([UInt8](folder.utf8), [.readOnly, .directory]) else { continue }
            for name in (try? FileTree.names(in: directory.number)) ?? [] {
                try? FileTree.remove(name, in: directory.number)
            }
            try? FileTree.remove([UInt8](folder.utf8), isDirectory: true)
        }
        for file in [settings, pidFile, given, draft] { try? removeFile(file) }
        try? FileTree.remove([UInt8](path.utf8), isDirectory: true)
    }
}
