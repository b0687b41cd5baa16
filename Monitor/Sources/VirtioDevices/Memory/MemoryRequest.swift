/// What a driver asks of a memory device. Trust: every field is the guest's. Source: virtio 1.3 §5.15.6.
struct MemoryRequest: Equatable {
    enum Kind: UInt16 { case plug = 0, unplug, unplugAll, state }

    /// The device's word for how it went.
    enum Answer: UInt16 { case acknowledged = 0, refused, busy, invalid }

    /// Which of the blocks that were asked about are plugged.
    enum State: UInt16 { case plugged = 0, unplugged, mixed }

    static let lengthBytes = 24
    static let answerBytes = 10

    let kind: Kind
    let address: UInt64
    let blockCount: UInt16

    /// - Parameter words: the request as three little-endian words: type; address; number of blocks.
    init?(_ words: borrowing InlineArray<3, UInt64>) {
        guard let kind = Kind(rawValue: UInt16(truncatingIfNeeded: UInt64(littleEndian: words[0]))) else { return nil }
        self.kind = kind
        address = UInt64(littleEndian: words[1])
        blockCount = UInt16(truncatingIfNeeded: UInt64(littleEndian: words[2]))
    }
}
