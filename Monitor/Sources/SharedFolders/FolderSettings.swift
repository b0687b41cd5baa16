/// How a folder is shared.
public struct FolderSettings: Equatable, Sendable {
    public var isReadOnly: Bool
    /// Whose files on this host are the guest's root's; nil hands numbers through as they are.
    public var owner: Owner?
    /// The most files that the guest may remember at once.
    public var nodeLimit: Int
    /// The most files that the guest may have open at once.
    public var openFileLimit = 4096
    /// How long the guest may believe what it was told.
    public var validSeconds: UInt64 = 1

    /// How many files a guest may have open in one of several folders when the process may open so many: half of them
    /// are left to everything else that the process does.
    public static func openFiles(of processLimit: UInt64, folders: Int) -> Int {
        Int(clamping: min(4096, max(processLimit / 2 / UInt64(max(folders, 1)), 16)))
    }

    public struct Owner: Equatable, Sendable {
        public var user: UInt32
        public var group: UInt32

        public init(user: UInt32, group: UInt32) {
            self.user = user
            self.group = group
        }
    }

    public init(isReadOnly: Bool = false, owner: Owner? = nil, nodeLimit: Int = 1 << 18) {
        self.isReadOnly = isReadOnly
        self.owner = owner
        self.nodeLimit = nodeLimit
    }
}

/// Whose a file is, between this host's numbers and the guest's.
extension FolderSettings.Owner {
    /// What others' files belong to in the guest, "nobody".
    static let nobody: UInt32 = 65_534

    /// Nil: nobody that this host knows.
    func onHost(user: UInt32) -> UInt32? { user == 0 || user == self.user ? self.user : nil }
    func onHost(group: UInt32) -> UInt32? { group == 0 || group == self.group ? self.group : nil }
    func inGuest(user: UInt32) -> UInt32 { user == self.user ? 0 : Self.nobody }
    func inGuest(group: UInt32) -> UInt32 { group == self.group ? 0 : Self.nobody }
}
