import WireFormats

/// What makes a clone a machine of its own. What is empty or zero stays as it is.
public struct Identity: Equatable, Sendable {
    public static let numberBytes = 16

    public var hostName: ByteString = ""
    /// Always 16 bytes; as 32 digits in `/etc/machine-id`, where the image has that file.
    public var machineID = [UInt8](repeating: 0, count: numberBytes)
    /// Random bytes, of this clone alone, for the kernel's generator, which is seeded anew with them at once.
    public var seed: [UInt8] = []
    /// Nanoseconds since 1970 (UTC).
    public var realTimeNanoseconds: UInt64 = 0
    /// Each is found by its new name, or else by its name. One that is named here loses the addresses and routes it has.
    public var interfaces: [Interface] = []
    public var nameServers: [IPAddress] = []
    public var searchDomains: [ByteString] = []
    public var hostEntries: [HostEntry] = []
    /// Always 16 bytes, and of this clone alone: what programs are told.
    public var generation = [UInt8](repeating: 0, count: numberBytes)

    public init() {}

    func encode(into writer: inout LittleEndianWriter) {
        writer.write(hostName)
        writer.writeBytes(machineID)
        writer.write(UInt32(truncatingIfNeeded: seed.count))
        writer.writeBytes(seed)
        writer.write(realTimeNanoseconds)
        writer.writeInterfaces(interfaces)
        writer.writeNames(nameServers, searchDomains, hostEntries)
        writer.writeBytes(generation)
    }

    init(from reader: inout MessageReader) {
        hostName = reader.hostName()
        machineID = reader.bytes(Self.numberBytes)
        seed = reader.seed()
        realTimeNanoseconds = reader.integer()
        interfaces = reader.interfaces()
        (nameServers, searchDomains, hostEntries) = reader.names()
        generation = reader.bytes(Self.numberBytes)
    }
}
