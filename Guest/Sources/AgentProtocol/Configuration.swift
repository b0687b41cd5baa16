/// What the guest becomes: its root, name, network and clock. Sent once, before the first `Start`.
public struct Configuration: Equatable, Sendable {
    /// Empty: the name stays.
    public var hostName: ByteString = ""
    /// Nil: the initramfs stays the root.
    public var root: RootFileSystem?
    public var standardMounts: StandardMounts = .container
    /// Further file systems, mounted in this order under the new root.
    public var mounts: [Mount] = []
    public var interfaces: [Interface] = []
    /// Whether `/etc/hostname`, `/etc/hosts` and `/etc/resolv.conf` are written: not where the root is shared.
    public var writesNameFiles = true
    public var nameServers: [IPAddress] = []
    public var searchDomains: [ByteString] = []
    /// Lines of `/etc/hosts` besides those for the loopback and the host name.
    public var hostEntries: [HostEntry] = []
    /// Nanoseconds since 1970 (UTC); zero leaves the clock alone.
    public var realTimeNanoseconds: UInt64 = 0
    /// Random bytes for the kernel's generator; empty for none.
    public var seed: [UInt8] = []
    /// Symbolic links made in the agent's own root, before anything else.
    public var links: [SymbolicLink] = []
    /// Powers off after that many seconds without a connection and without a process; zero never does.
    public var idleSeconds: UInt32 = 0

    public init() {}
}

/// The file system that becomes `/`.
public struct RootFileSystem: Equatable, Sendable {
    /// A device (`/dev/vda`), or the tag of a share.
    public var source: ByteString
    /// As the kernel names it: `erofs`, `squashfs`, `ext4`, `9p`.
    public var fileSystem: ByteString
    /// Mount options as the file system takes them, for example `trans=virtio,version=9p2000.L`.
    public var options: ByteString
    public var isReadOnly: Bool
    public var overlay: Overlay
    /// Whether the agent stays in the initramfs and only the commands have this root (`chroot`): for a host whose own
    /// kernel still finds its modules and helpers in the initramfs.
    public var isForCommandsOnly: Bool
    /// Nil: the source is taken as it is.
    public var verity: Verity?

    public init(
        source: ByteString, fileSystem: ByteString, options: ByteString = "", isReadOnly: Bool = true,
        overlay: Overlay = .memory(bytes: 0), isForCommandsOnly: Bool = false, verity: Verity? = nil
    ) {
        self.verity = verity
        self.isForCommandsOnly = isForCommandsOnly
        self.source = source
        self.fileSystem = fileSystem
        self.options = options
        self.isReadOnly = isReadOnly
        self.overlay = overlay
    }
}

/// What every block of the root's device is checked against when it is read: a dm-verity hash tree (version 1, SHA-256,
/// blocks of 4096 bytes, no salt, no superblock) that begins on the device right behind the last block of data.
public struct Verity: Equatable, Sendable {
    public static let rootHashBytes = 32
    public static let blockBytes: UInt64 = 4096

    /// Blocks of 4096 bytes that are not the tree's own: 1 to `Limits.dataBlocks`.
    public var dataBlocks: UInt64
    /// Always 32 bytes; never taken from the device.
    public var rootHash: [UInt8]

    public init(dataBlocks: UInt64, rootHash: [UInt8]) {
        self.dataBlocks = dataBlocks
        self.rootHash = rootHash
    }
}

/// Where writes to the root go.
public enum Overlay: Equatable, Sendable {
    /// To the root itself, if it can be written.
    case none
    /// To a tmpfs of that many bytes; zero takes the kernel's default (half of the memory).
    case memory(bytes: UInt64)
    /// To a disk, which keeps them.
    case disk(device: ByteString, fileSystem: ByteString)
}

/// The kernel's own file systems that a program expects.
public struct StandardMounts: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    public static let proc = StandardMounts(rawValue: 1 << 0)
    public static let sys = StandardMounts(rawValue: 1 << 1)
    public static let dev = StandardMounts(rawValue: 1 << 2)
    /// `/dev/pts`
    public static let terminals = StandardMounts(rawValue: 1 << 3)
    /// `/dev/shm`
    public static let sharedMemory = StandardMounts(rawValue: 1 << 4)
    /// `/sys/fs/cgroup`, version 2
    public static let controlGroups = StandardMounts(rawValue: 1 << 5)
    /// A tmpfs on `/run`
    public static let run = StandardMounts(rawValue: 1 << 6)
    /// A tmpfs on `/tmp`
    public static let temporary = StandardMounts(rawValue: 1 << 7)
    static let known: UInt32 = 0xff

    /// What an image of a container expects; its own `/run` and `/tmp` stay.
    public static let container: StandardMounts = [.proc, .sys, .dev, .terminals, .sharedMemory, .controlGroups]
}

/// One further file system.
public struct Mount: Equatable, Sendable {
    public struct Flags: OptionSet, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }

        public static let readOnly = Flags(rawValue: 1 << 0)
        public static let noSetUserID = Flags(rawValue: 1 << 1)
        public static let noDevices = Flags(rawValue: 1 << 2)
        public static let noExecution = Flags(rawValue: 1 << 3)
        /// `source` is a path that appears at `target` as well.
        public static let bind = Flags(rawValue: 1 << 4)
        /// The file system is new and empty: what lies at `target` is copied to it first.
        public static let fill = Flags(rawValue: 1 << 5)
        static let known: UInt32 = 0x3f
    }

    /// In place of a file system's name: what lies at `source` is a settings floppy, and `target` becomes a link
    /// to the folder of their files. One of a machine at most.
    public static let settingsFileSystem: ByteString = "swiftlet-settings"

    /// Empty for a bind mount that only gives the mount at `target` its flags.
    public var source: ByteString
    /// Absolute; made if it is missing.
    public var target: ByteString
    /// Empty for a bind mount.
    public var fileSystem: ByteString
    public var options: ByteString
    public var flags: Flags

    public init(
        source: ByteString, target: ByteString, fileSystem: ByteString, options: ByteString = "", flags: Flags = []
    ) {
        self.source = source
        self.target = target
        self.fileSystem = fileSystem
        self.options = options
        self.flags = flags
    }
}

/// One network interface with its addresses and routes. One that is given no address is switched on by others: until its
/// filter is in force, nothing shall come in.
public struct Interface: Equatable, Sendable {
    public struct Address: Equatable, Sendable {
        public var address: IPAddress
        public var prefixLength: UInt8

        public init(_ address: IPAddress, prefixLength: UInt8) {
            self.address = address
            self.prefixLength = prefixLength
        }
    }

    public struct Route: Equatable, Sendable {
        public var destination: IPAddress
        /// Zero for the default route.
        public var prefixLength: UInt8
        /// Nil: directly on the link.
        public var gateway: IPAddress?

        public init(to destination: IPAddress, prefixLength: UInt8, via gateway: IPAddress?) {
            self.destination = destination
            self.prefixLength = prefixLength
            self.gateway = gateway
        }
    }

    /// As the kernel names it: `eth0`.
    public var name: ByteString
    /// What it is called from then on; empty: its name stays.
    public var newName: ByteString
    /// Six bytes; empty leaves the device's.
    public var hardwareAddress: [UInt8]
    /// Zero leaves the driver's.
    public var maximumTransmissionUnit: UInt32
    public var addresses: [Address]
    public var routes: [Route]

    public init(
        name: ByteString, newName: ByteString = "", hardwareAddress: [UInt8] = [], maximumTransmissionUnit: UInt32 = 0,
        addresses: [Address] = [], routes: [Route] = []
    ) {
        self.hardwareAddress = hardwareAddress
        self.name = name
        self.newName = newName
        self.maximumTransmissionUnit = maximumTransmissionUnit
        self.addresses = addresses
        self.routes = routes
    }
}

/// A symbolic link to be made at `path`, which must not exist.
public struct SymbolicLink: Equatable, Sendable {
    public var path: ByteString
    public var target: ByteString

    public init(path: ByteString, target: ByteString) {
        self.path = path
        self.target = target
    }
}

/// A line of `/etc/hosts`.
public struct HostEntry: Equatable, Sendable {
    public var address: IPAddress
    public var name: ByteString

    public init(_ address: IPAddress, _ name: ByteString) {
        self.address = address
        self.name = name
    }
}
