/// The bounds of every field: what a reader refuses, and what a writer must not exceed.
public enum Limits {
    /// Payload of a frame towards the agent. A command line with its environment is the largest.
    public static let hostPayloadBytes = 1 << 20
    /// Payload of a frame from the agent.
    public static let agentPayloadBytes = 16 << 10
    /// Payload of a frame while files are copied.
    public static let transferPayloadBytes = 72 << 10
    /// File contents in one frame.
    public static let transferDataBytes = 64 << 10

    public static let arguments = 4096
    /// Source: Linux `MAX_ARG_STRLEN` (131,072 with the terminating zero).
    public static let argumentBytes = 131_071
    public static let variables = 4096
    public static let userBytes = 256
    public static let groups = 64
    /// Source: Linux `PATH_MAX` (4,096 with the terminating zero).
    public static let pathBytes = 4095
    /// Source: Linux `NAME_MAX`.
    public static let nameBytes = 255
    /// Source: Linux `HOST_NAME_MAX`.
    public static let hostNameBytes = 64
    public static let mountOptionBytes = 1024
    public static let fileSystemBytes = 32
    /// Of a device with a hash tree, so that its bytes can be counted.
    public static let dataBlocks: UInt64 = 1 << 51
    public static let mounts = 64
    public static let interfaces = 16
    /// Source: Linux `IFNAMSIZ` (16 with the terminating zero).
    public static let interfaceNameBytes = 15
    /// Source: IEEE 802, EUI-48.
    public static let hardwareAddressBytes = 6
    public static let addressesPerInterface = 16
    public static let routesPerInterface = 64
    public static let nameServers = 8
    public static let searchDomains = 16
    /// Source: RFC 1035 §2.3.4.
    public static let domainBytes = 253
    public static let hostEntries = 256
    /// Source: virtio 1.3 §5.2.6.1 (VIRTIO_BLK_T_GET_ID).
    public static let serialBytes = 20
    /// Source: Linux `DISK_NAME_LEN` (32 with the terminating zero), longer than an interface's.
    public static let deviceNameBytes = 31
    public static let seedBytes = 256
    public static let links = 16
    public static let versionBytes = 64
    public static let failureTextBytes = 1024
    /// In one answer, which is followed by another.
    public static let listedProcesses = 64
    /// Of a process's command line, which is cut off there.
    public static let listedCommandBytes = 160
    /// Source: Linux `_NSIG`.
    public static let signal: UInt8 = 64
}
