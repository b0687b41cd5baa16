import AgentProtocol
public import Archives

/// What a guest checks its image's disk against while it reads it: `Documentation/verified-disks.md`.
public struct ImageVerity: Codable, Equatable, Sendable {
    /// Blocks of 4096 bytes before the hash tree begins.
    public var dataBlocks: UInt64
    /// 64 hexadecimal digits; from the image's record, never from the disk.
    public var rootHash: String

    public init(dataBlocks: UInt64, rootHash: SHA256Digest) {
        self.dataBlocks = dataBlocks
        self.rootHash = rootHash.hex
    }

    /// As the agent wants it.
    /// - Throws: for what can be no root hash or no number of blocks; such a machine is not started without its check.
    func forAgent() throws(FleetError) -> Verity {
        guard let digest = SHA256Digest(hex: rootHash), dataBlocks > 0, dataBlocks <= Limits.dataBlocks else {
            throw FleetError(
                .invalidSetting,
                "the machine's record has no root hash that could be one for its image (\(rootHash), \(dataBlocks) blocks); create the machine anew"
            )
        }
        return Verity(dataBlocks: dataBlocks, rootHash: digest.bytes)
    }
}

/// What a machine has met on its image's disk. Everything that was read there is an error in the guest.
///
/// Trust: the guest's word.
public struct ImageDamage: Codable, Equatable, Sendable {
    /// The first damaged block, of 4096 bytes, from the beginning of the disk; nil where the guest could not tell.
    public var block: UInt64?
    /// Whether that block is the hash tree's.
    public var isInHashTree: Bool
    /// How often the guest has told of damage, to the last power of two.
    public var count: UInt64
    /// When it first did, since 1970.
    public var firstSeconds: Int64

    init(_ damage: DiskDamage, atSeconds seconds: Int64) {
        block = damage.part == .unknown ? nil : damage.block
        isInHashTree = damage.part == .hashTree
        count = 1
        firstSeconds = seconds
    }

    /// For people.
    func message(image: String) -> String {
        let place = block.map { " at block \($0)\(isInHashTree ? " (of its hash tree)" : "")" } ?? ""
        return
            "the disk of the image \"\(image)\" is damaged\(place); what cannot be trusted is an input/output error in the machine. See what else is (swiftlet image verify \(image)), then pull, load or import it again, which mends it"
    }
}
