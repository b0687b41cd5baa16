/// Of which appliance a machine is, so that it can be updated and taken back: `Documentation/appliances.md`.
public struct MachineAppliance: Codable, Equatable, Sendable {
    public var name: String
    public var version: String
    /// Of the manifest, which is what is signed.
    public var manifestDigest: String
    public var descriptionDigest: String
    /// Run in the guest when its settings have changed; empty where the program looks for itself.
    public var apply: [String]
    /// Whether its maker says that its program keeps settings by itself. Nil, in what an earlier version has written down, is no.
    private var keepsOwnSettings: Bool?
    public var commitsSettings: Bool { keepsOwnSettings ?? false }

    public init(
        name: String, version: String, manifestDigest: String, descriptionDigest: String, apply: [String],
        commitsSettings: Bool = false
    ) {
        self.name = name
        self.version = version
        self.manifestDigest = manifestDigest
        self.descriptionDigest = descriptionDigest
        self.apply = apply
        keepsOwnSettings = commitsSettings ? true : nil
    }
}

/// Whether a machine's program may have settings kept by itself, where somebody has said so.
public enum SettingsCommitRule: String, Codable, Sendable, CaseIterable {
    case allow
    case refuse
}

extension MachineStore {
    /// Whether a machine's program may have its settings kept without anybody on this side.
    ///
    /// What was said when the machine was made holds; else it may if its appliance says that it does, and nobody else's settings are
    /// the same.
    /// - Throws: `.commitRefused`.
    public func checkMayCommit(_ record: MachineRecord) throws(FleetError) {
        let specification = record.specification
        let why: String
        switch specification.settingsCommit {
        case .allow?: return
        case .refuse?: why = "whoever made the machine \"\(record.name)\" has said that it may not"
        case nil:
            if specification.appliance?.commitsSettings != true {
                why = "the machine \"\(record.name)\" is of no appliance that keeps settings by itself"
            } else if let other = list().first(where: {
                $0.id != record.id && $0.specification.settingsName == specification.settingsName
            }) {
                why = "the machine \"\(other.name)\" has the same settings"
            } else {
                return
            }
        }
        throw FleetError(
            .commitRefused,
            "\(why); a machine made with --settings-commit allow may, or ask for `swiftlet settings commit "
                + "\(specification.settingsName ?? record.name)`")
    }
}
