import HostFiles
import LinuxCalls
import SettingsFloppy

/// The settings of one user's appliances on this computer: a folder each, with a floppy, the schemas it was written by, and
/// the generations before.
///
/// Several processes may use one store at once. A process that dies at any moment leaves the settings as they were before or
/// after.
public struct SettingsStore: Sendable {
    public let root: HostPath

    public init(root: String) { self.root = HostPath(root) }

    /// The names of all, sorted.
    public func names() throws(SettingsError) -> [String] {
        guard root.exists else { return [] }
        return try files { () throws(HostFileError) in try root.folderNames() }
            .map { String(decoding: $0, as: UTF8.self) }.filter { Self.isName($0) }
    }

    public func settings(_ name: String) throws(SettingsError) -> NamedSettings {
        guard Self.isName(name), root.appending(name).exists else {
            let names = (try? names()) ?? []
            let advice =
                names.isEmpty
                ? "there are none in \(root); make some: swiftlet settings create NAME --schema FILE"
                : "there are \(names.prefix(8).joined(separator: ", "))\(names.count > 8 ? ", …" : "")"
            throw SettingsError(.unknown, "no settings are called \(shown(name)); \(advice)")
        }
        return NamedSettings(name: name, store: self)
    }

    /// New settings, with their first generation.
    /// - Throws: `refused` when these settings are not what the schema wants; nothing is left then.
    @discardableResult
    public func create(
        _ name: String, schema: SettingsSchema, settings: SettingsValue = .group([:])
    ) throws(SettingsError) -> NamedSettings {
        try Self.check(name: name)
        let named = NamedSettings(name: name, store: self)
        let settings = try schema.checked(settings)
        try whileLocked { () throws(SettingsError) in
            guard !named.folder.exists else {
                throw SettingsError(
                    .exists, "there are settings called \(name) already; remove them, or choose another name")
            }
            let draft = root.appending(".new-\(processID())-\(UInt64.random(in: 0...UInt64.max))")
            try files { () throws(HostFileError) in try draft.makeFolders(mode: 0o700) }
            do throws(SettingsError) {
                let writer = NamedSettings(name: name, store: self, folder: draft)
                try writer.write(schema)
                try writer.replaceFloppy(schema, settings, leastNumber: 1)
                try writer.keepFactory()
                try files { () throws(HostFileError) in
                    try draft.rename(to: named.folder)
                    try root.synchronizeFolder()
                }
            } catch {
                Self.remove(draft)
                throw error
            }
        }
        return named
    }

    /// Takes settings away, with their history.
    public func remove(_ name: String) throws(SettingsError) {
        let named = try settings(name)
        try whileLocked { () throws(SettingsError) in
            let gone = root.appending(".gone-\(processID())-\(UInt64.random(in: 0...UInt64.max))")
            try files { () throws(HostFileError) in try named.folder.rename(to: gone) }
            Self.remove(gone)
        }
    }

    private static func remove(_ folder: HostPath) {
        for name in (try? folder.folderNames()) ?? [] { try? folder.appending(name).removeFile() }
        try? folder.removeEmptyFolder()
    }

    /// - Throws: `invalidName` for what settings cannot be called.
    public static func check(name: String) throws(SettingsError) {
        guard isName(name) else {
            throw SettingsError(
                .invalidName,
                "\(shown(name)) cannot be a name; letters, digits, - and . can, at most 63, not beginning with - or .")
        }
    }

    static func isName(_ name: String) -> Bool { SettingsSchema.isName(name) }

    /// Nobody else changes anything in the store meanwhile. What somebody left half made or half removed goes.
    func whileLocked<R>(_ body: () throws(SettingsError) -> R) throws(SettingsError) -> R {
        let lock = try files { () throws(HostFileError) in
            try root.makeFolders(mode: 0o700)
            let lock = try HostFile(root.appending(".lock"), [.readWrite, .create], mode: 0o600)
            try lock.lock(isExclusive: true)
            return lock
        }
        defer { extendLifetime(lock) }
        for name in (try? root.folderNames()) ?? []
        where name.starts(with: ".new-".utf8) || name.starts(with: ".gone-".utf8) {
            Self.remove(root.appending(name))
        }
        return try body()
    }

    static func nowSeconds() -> UInt64 { Clock.realTime.nanoseconds() / 1_000_000_000 }
}

/// What the host's file system says, as an error of settings.
func files<R: ~Copyable>(_ body: () throws(HostFileError) -> R) throws(SettingsError) -> R {
    do throws(HostFileError) { return try body() } catch {
        throw SettingsError(error.isDiskFull ? .diskFull : .unusableStore, "\(error)")
    }
}
