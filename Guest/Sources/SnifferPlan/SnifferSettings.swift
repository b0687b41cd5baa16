public import AgentProtocol
public import ApplianceGuest

/// What a sniffer is told, as types that can hold nothing else. Fields: Documentation/sniffer.md.
public struct SnifferSettings: Sendable {
    /// A filter as tcpdump takes it; empty for everything. It is one argument of a program, never a shell's.
    public let filter: ByteString
    public let snapshotBytes: UInt64
    public let keptBytes: Int
    public let pieceCount: Int
    /// Where everybody who connects is sent what is captured; nil for nowhere.
    public let stream: (address: IPv4Prefix, port: UInt16)?

    /// - Throws: the first field that is wrong, and why; nothing is to be done then.
    public init(_ fields: SettingsFields) throws(SettingsFault) {
        filter = fields.value("filter") ?? ""
        guard filter.count <= 1000, filter.bytes.allSatisfy({ (0x20...0x7e).contains($0) }) else {
            throw SettingsFault("filter", "is longer than 1000 characters, or has others than ASCII's")
        }
        snapshotBytes = try fields.integer("snapshot-length", in: 64...262_144) ?? 262_144
        let mebibytes = try fields.integer("keep.mebibytes", in: 1...65_536) ?? 16
        keptBytes = Int(mebibytes) << 20
        let pieces = Int(try fields.integer("keep.pieces", in: 2...64) ?? 8)
        pieceCount = pieces
        // A piece must have room for the largest packet.
        guard keptBytes / pieces >= PacketRing.recordHeaderBytes + Int(snapshotBytes) else {
            throw SettingsFault(
                "keep.pieces", "leaves less room in a piece than a packet of snapshot-length bytes takes")
        }
        guard let address = try fields.interfaceAddress("stream.address") else {
            stream = nil
            return
        }
        stream = (address, try fields.port("stream.port") ?? 37_008)
    }

    public static let tcpdump: ByteString = "/usr/bin/tcpdump"
    public static let interface: ByteString = "capture"

    /// The program that captures, which writes to its standard output.
    public var captureArguments: [ByteString] {
        [
            Self.tcpdump, "-i", Self.interface, "-n", "-U", "-s", ByteString(snapshotBytes), "-Z", "tcpdump", "-w", "-",
        ] + filterArguments
    }

    /// The same program, which only says whether it understands the filter.
    public var checkArguments: [ByteString] { [Self.tcpdump, "-i", Self.interface, "-n", "-d"] + filterArguments }

    /// Behind `--` nothing is an option.
    private var filterArguments: [ByteString] { filter.isEmpty ? [] : ["--", filter] }
}
