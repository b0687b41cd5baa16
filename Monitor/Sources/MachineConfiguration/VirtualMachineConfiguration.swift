/// A whole machine, as its configuration file describes it: Firecracker's `FullVmConfiguration`, and ours.
///
/// Trust: written by the user or by `swiftlet`. Every value here lies within the bounds that its field documents; whether
/// the files exist is found out when the machine is built.
public struct VirtualMachineConfiguration: Equatable, Sendable {
    public static let virtualCPURange: ClosedRange<Int64> = 1...32
    /// 16 MiB holds a small kernel; 512 GiB is what the page tables at start map and more than a test ever had.
    public static let memoryMebibytesRange: ClosedRange<Int64> = 16...524_288
    /// As many virtio devices as there are interrupt lines for them.
    public static let maximumDevices = 19

    public var bootSource: BootSource
    public var virtualCPUCount: UInt32
    public var memoryMebibytes: UInt64
    /// Whether memory is of huge pages, 2 MiB each.
    public var hasHugePages = false
    /// Nil: processors are what the host can give.
    public var processorTemplate: ProcessorTemplate?
    /// Whether differential snapshots are to be possible from the first full one on.
    public var isTrackingChanges = false
    public var drives: [Drive] = []
    public var networkInterfaces: [NetworkInterface] = []
    public var sharedFolders: [SharedFolder] = []
    public var vsock: Vsock?
    public var balloon: Balloon?
    public var persistentMemories: [PersistentMemory] = []
    public var pluggableMemory: PluggableMemory?
    public var hasEntropyDevice = false
    public var entropyLimits: RateLimits?
    public var console = Console()
    /// A descriptor of the process: when its other end closes, the machine ends.
    public var lifelineDescriptor: Int32?
    /// Whether a kernel that asks ACPI finds a keyboard; looking for what is behind it takes time.
    public var announcesKeyboard = false
    /// Nil: nobody controls the machine while it runs.
    public var control: Control?
    /// Nil: the machine begins with its kernel.
    public var restore: Restore?

    /// How many devices can come while the machine runs.
    public var slotCount = 0
    /// Those that had come to a machine that goes on.
    public var attached: [Attached] = []

    /// A device in its slot.
    public struct Attached: Equatable, Sendable {
        public enum Device: Equatable, Sendable {
            case drive(Drive)
            case interface(NetworkInterface)
        }

        public var slot: Int
        public var device: Device

        public init(slot: Int, device: Device) {
            self.slot = slot
            self.device = device
        }
    }

    public init(bootSource: BootSource, virtualCPUCount: UInt32, memoryMebibytes: UInt64) {
        self.bootSource = bootSource
        self.virtualCPUCount = virtualCPUCount
        self.memoryMebibytes = memoryMebibytes
    }

    public struct BootSource: Equatable, Sendable {
        public enum BootProtocol: Equatable, Sendable { case automatic, linux64, pvh }

        public var kernelImagePath: String
        public var bootArguments: String
        /// Concatenated in this order, each padded to four bytes.
        public var initrdPaths: [String]
        public var bootProtocol: BootProtocol

        public init(
            kernelImagePath: String, bootArguments: String = "", initrdPaths: [String] = [],
            bootProtocol: BootProtocol = .automatic
        ) {
            self.kernelImagePath = kernelImagePath
            self.bootArguments = bootArguments
            self.initrdPaths = initrdPaths
            self.bootProtocol = bootProtocol
        }
    }

    public struct Drive: Equatable, Sendable {
        public enum CacheType: Equatable, Sendable {
            /// The guest is not offered to flush.
            case unsafe
            /// A flush of the guest reaches the host's disk before it is answered.
            case writeback
        }
        public enum IOEngine: Equatable, Sendable { case automatic, synchronous, asynchronous }

        public static let maximumSegments = 256

        public var id: String
        /// Empty where there are segments or a socket.
        public var pathOnHost: String
        /// Files that are read one after the other as one disk; only of a read-only drive.
        public var segments: [String] = []
        /// Where the process listens that serves the drive's requests (vhost-user); it decides what the drive is.
        public var socket: String?
        public var isRootDevice = false
        public var isReadOnly = false
        public var partitionUUID: String?
        public var cacheType = CacheType.unsafe
        public var ioEngine = IOEngine.automatic
        public var limits: RateLimits?

        public init(id: String, pathOnHost: String) {
            self.id = id
            self.pathOnHost = pathOnHost
        }
    }

    public struct NetworkInterface: Equatable, Sendable {
        /// An IPv4 address, in network order, and how long its network's part is.
        public struct Address: Equatable, Sendable {
            public var bytes: [UInt8]
            public var prefixLength: UInt8

            public init(_ bytes: [UInt8], prefixLength: UInt8) {
                self.bytes = bytes
                self.prefixLength = prefixLength
            }
        }

        public var id: String
        public var hostDeviceName: String
        /// Six bytes; nil lets the device choose.
        public var guestMAC: [UInt8]?
        public var mtu: UInt16?
        /// Given to the host's side of the interface, which is brought up; nil leaves it as it is.
        public var hostAddress: Address?
        /// To the guest.
        public var receiveLimits: RateLimits?
        /// From the guest.
        public var transmitLimits: RateLimits?

        public init(id: String, hostDeviceName: String) {
            self.id = id
            self.hostDeviceName = hostDeviceName
        }
    }

    /// A folder of the host, which the guest mounts as a virtio file system.
    public struct SharedFolder: Equatable, Sendable {
        /// Whose files on the host are the guest's root's.
        public struct Owner: Equatable, Sendable {
            public var user: UInt32
            public var group: UInt32

            public init(user: UInt32, group: UInt32) {
                self.user = user
                self.group = group
            }
        }

        /// At most 36 bytes.
        public var tag: String
        public var pathOnHost: String
        public var isReadOnly = false
        /// Nil: the guest's numbers are the host's.
        public var owner: Owner?

        public init(tag: String, pathOnHost: String) {
            self.tag = tag
            self.pathOnHost = pathOnHost
        }
    }

    public struct Vsock: Equatable, Sendable {
        /// At least 3.
        public var guestCID: UInt32
        public var udsPath: String
        /// A descriptor of the process, which the device takes over, where somebody has made the socket already.
        public var listener: Int32?

        public init(guestCID: UInt32, udsPath: String) {
            self.guestCID = guestCID
            self.udsPath = udsPath
        }
    }

    public struct Balloon: Equatable, Sendable {
        public var amountMebibytes: UInt32
        public var isDeflatingOnOutOfMemory: Bool
        /// Zero: no statistics.
        public var statisticsIntervalSeconds: UInt32 = 0
        public var isHintingFreePages = false
        public var isReportingFreePages = false

        public init(amountMebibytes: UInt32, isDeflatingOnOutOfMemory: Bool) {
            self.amountMebibytes = amountMebibytes
            self.isDeflatingOnOutOfMemory = isDeflatingOnOutOfMemory
        }
    }

    /// A file whose pages are memory of the guest, which it uses as a disk.
    public struct PersistentMemory: Equatable, Sendable {
        public var id: String
        public var pathOnHost: String
        /// What is written to it stays with the guest.
        public var isReadOnly = false
        /// How often it may be flushed.
        public var limits: RateLimits?

        public init(id: String, pathOnHost: String) {
            self.id = id
            self.pathOnHost = pathOnHost
        }
    }

    /// Memory that can be plugged while the guest runs; none is when it starts.
    public struct PluggableMemory: Equatable, Sendable {
        public static let leastBlockMebibytes: Int64 = 2
        public static let leastSlotMebibytes: Int64 = 128
        /// As many as a host's kernel has memory slots for.
        static let mostSlots: UInt64 = 4096

        /// A multiple of `slotMebibytes`.
        public var totalMebibytes: UInt64
        /// What processors reach or do not reach at a time; a multiple of `blockMebibytes`.
        public var slotMebibytes: UInt64
        /// What is plugged at a time; a power of two.
        public var blockMebibytes: UInt64

        public init(totalMebibytes: UInt64, slotMebibytes: UInt64 = 128, blockMebibytes: UInt64 = 2) {
            self.totalMebibytes = totalMebibytes
            self.slotMebibytes = slotMebibytes
            self.blockMebibytes = blockMebibytes
        }
    }

    /// The serial port's two ends on the host.
    public struct Console: Equatable, Sendable {
        public var isEnabled = true
        /// Nil: nothing is ever typed.
        public var inputDescriptor: Int32? = 0
        public var outputDescriptor: Int32 = 1

        public init() {}
    }

    /// The socket by which the machine is controlled while it runs.
    public struct Control: Equatable, Sendable {
        public var socketPath: String
        /// The only folder in which files are opened or made after the start.
        public var folder: String

        public init(socketPath: String, folder: String) {
            self.socketPath = socketPath
            self.folder = folder
        }
    }

    /// The snapshot that the machine goes on from, instead of beginning with its kernel.
    public struct Restore: Equatable, Sendable {
        public var folder: String
        /// Names of files in that folder.
        public var state: String
        public var memory: String
        /// Against what each page is checked when it is touched first; its path is a name in that folder too.
        public var tree: MemoryTreeReference?
        /// Whether the guest runs at once; else it stands still until it is resumed.
        public var resumes: Bool

        public init(
            folder: String, state: String, memory: String, tree: MemoryTreeReference? = nil, resumes: Bool
        ) {
            self.folder = folder
            self.state = state
            self.memory = memory
            self.tree = tree
            self.resumes = resumes
        }
    }

    /// A hash tree over a snapshot's memory, and the digest that vouches for it.
    public struct MemoryTreeReference: Equatable, Sendable {
        public var path: String
        /// 32 bytes.
        public let root: [UInt8]

        /// - Parameter digits: 64 of base 16.
        public init?(path: String, root digits: String) {
            var root: [UInt8] = []
            var high: UInt8?
            for byte in digits.utf8 {
                // Lower-case letters.
                let letter = byte | 0x20
                let value: UInt8
                switch letter {
                case 0x61...0x66: value = letter - 0x57
                case 0x30...0x39 where byte == letter: value = byte - 0x30
                default: return nil
                }
                if let first = high.take() { root.append(first << 4 | value) } else { high = value }
            }
            guard root.count == 32, high == nil else { return nil }
            self.path = path
            self.root = root
        }
    }
}
