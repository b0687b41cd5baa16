/// What a thread of the monitor is for, and so which system calls it may make.
public enum ThreadRole: UInt16, CaseIterable, Sendable {
    /// The machine's loop: every device but drives and folders, the watches, the machine's end.
    case devices = 1
    /// Runs one processor of the guest.
    case processor = 2
    /// Serves one drive.
    case drive = 3
    /// Serves one shared folder.
    case folder = 4
    /// Serves the control socket.
    case control = 5
    /// Serves Firecracker's API: it opens what clients name.
    case api = 6

    /// Has pages of guest memory there before the guest asks for them.
    case memory = 7

    public var name: StaticString {
        switch self {
        case .devices: "devices"
        case .processor: "processor"
        case .drive: "drive"
        case .folder: "folder"
        case .control: "control"
        case .api: "api"
        case .memory: "memory"
        }
    }
}

/// What a machine has, as far as rules depend on it: a call that only one device makes is allowed only with that device.
public struct JailedParts: OptionSet, Sendable {
    public let rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    public static let network = JailedParts(rawValue: 1)
    public static let vsock = JailedParts(rawValue: 2)
    public static let balloon = JailedParts(rawValue: 4)
    public static let entropy = JailedParts(rawValue: 8)
    public static let terminal = JailedParts(rawValue: 16)
    public static let console = JailedParts(rawValue: 32)
    /// Limits of what devices do in a time.
    public static let limits = JailedParts(rawValue: 64)

    /// A socket by which the machine is paused, resumed and saved while it runs.
    public static let control = JailedParts(rawValue: 128)
    /// Firecracker's API, by which the machine is paused, saved and changed while it runs.
    public static let api = JailedParts(rawValue: 256)

    /// Memory that is plugged while the machine runs.
    public static let pluggableMemory = JailedParts(rawValue: 512)

    /// Memory of a snapshot whose pages are checked as they are touched.
    public static let checkedMemory = JailedParts(rawValue: 1024)
    /// Places for devices that come and go while the machine runs.
    public static let slots = JailedParts(rawValue: 2048)
    /// Drives whose requests other processes serve.
    public static let driveBackends = JailedParts(rawValue: 4096)

    /// Memory of huge pages.
    public static let hugePages = JailedParts(rawValue: 8192)

    public static let all: JailedParts = [
        .network, .vsock, .balloon, .entropy, .terminal, .console, .limits, .control, .api, .pluggableMemory,
        .checkedMemory, .slots, .driveBackends, .hugePages,
    ]
}
