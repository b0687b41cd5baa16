import WireFormats

/// What the first sector of a slot says about the settings after it. Layout: Documentation/floppy.md.
public struct GenerationHeader: Equatable, Sendable {
    /// Ever larger; from 1.
    public var number: UInt64
    /// What schema the settings follow, and its version.
    public var schemaName: [UInt8]
    public var schemaVersion: UInt32
    /// When it was written: seconds since 1970, UTC.
    public var writtenSeconds: UInt64
    /// Until when somebody must confirm it: seconds since 1970, UTC; nil once it is confirmed.
    public var deadlineSeconds: UInt64?
    public var bodyBytes: Int
    public var bodyChecksum: UInt32

    static let magic = bytes("SWLTSET\u{1a}")
    static let version: UInt16 = 1
    public static let maximumNameBytes = 63
    /// So that the next one never overflows.
    static let maximumNumber: UInt64 = 1 << 48
    private static let sumOffset = FAT12Volume.sectorBytes - 4

    public func encoded() -> [UInt8] {
        var writer = LittleEndianWriter(reserving: FAT12Volume.sectorBytes)
        writer.writeBytes(Self.magic)
        writer.write(Self.version)
        writer.write(UInt16(deadlineSeconds == nil ? 0 : 1))
        writer.write(schemaVersion)
        writer.write(number)
        writer.write(writtenSeconds)
        writer.write(deadlineSeconds ?? 0)
        writer.write(UInt32(truncatingIfNeeded: bodyBytes))
        writer.write(bodyChecksum)
        writer.write(UInt8(truncatingIfNeeded: schemaName.count))
        writer.writeBytes(schemaName)
        writer.writeBytes([UInt8](repeating: 0, count: Self.sumOffset - writer.bytes.count))
        writer.write(checksum(writer.bytes))
        return writer.bytes
    }

    /// Nil for whatever is no whole header.
    public init?(_ sector: [UInt8]) {
        guard sector.count == FAT12Volume.sectorBytes else { return nil }
        var reader = LittleEndianReader(sector)
        do throws(LittleEndianReader.Truncated) {
            let magic = try reader.readBytes(Self.magic.count)
            let version: UInt16 = try reader.read()
            let state: UInt16 = try reader.read()
            schemaVersion = try reader.read()
            number = try reader.read()
            writtenSeconds = try reader.read()
            let deadline: UInt64 = try reader.read()
            deadlineSeconds = state == 1 ? deadline : nil
            bodyBytes = Int(try reader.read(UInt32.self))
            bodyChecksum = try reader.read()
            let nameBytes = Int(try reader.read(UInt8.self))
            schemaName = try reader.readBytes(min(nameBytes, Self.maximumNameBytes))
            var sumReader = LittleEndianReader(sector[Self.sumOffset...])
            let sum: UInt32 = try sumReader.read()
            guard magic == Self.magic, version == Self.version, state <= 1, nameBytes <= Self.maximumNameBytes,
                (1...Self.maximumNumber).contains(number), bodyBytes <= SlotLayout.maximumBodyBytes,
                sum == checksum(sector[..<Self.sumOffset])
            else { return nil }
        } catch {
            return nil
        }
    }

    init(
        number: UInt64, schemaName: [UInt8], schemaVersion: UInt32, writtenSeconds: UInt64, deadlineSeconds: UInt64?,
        body: [UInt8]
    ) {
        self.number = number
        self.schemaName = schemaName
        self.schemaVersion = schemaVersion
        self.writtenSeconds = writtenSeconds
        self.deadlineSeconds = deadlineSeconds
        bodyBytes = body.count
        bodyChecksum = checksum(body)
    }

    /// Whether these settings are to be used at that time. Nobody who cannot tell the time uses what wants confirmation.
    public func isUsable(atSeconds now: UInt64?) -> Bool {
        guard let deadlineSeconds else { return true }
        guard let now else { return false }
        return now < deadlineSeconds
    }
}
