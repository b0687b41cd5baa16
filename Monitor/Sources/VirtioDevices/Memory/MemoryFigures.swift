/// What a snapshot keeps of a memory device: how much is wanted, the device's shape, and, where something is plugged, one bit for
/// each block, in words of 64.
public struct MemoryFigures {
    private static let shapeCount = 4

    public let requestedBytes: UInt64
    /// First address, length, length of a block and of a slot.
    let shape: [UInt64]
    /// None: nothing is plugged.
    let pluggedWords: [UInt64]
    public let pluggedBytes: UInt64

    /// Trust: the figures may be anything. Taken are those that a device may have had.
    public init?(_ figures: [UInt64]) {
        guard figures.count > Self.shapeCount else { return nil }
        requestedBytes = figures[0]
        shape = [UInt64](figures[1...Self.shapeCount])
        pluggedWords = [UInt64](figures[(Self.shapeCount + 1)...])
        let (lengthBytes, blockBytes) = (shape[1], shape[2])
        guard blockBytes >= 4096, blockBytes.nonzeroBitCount == 1, lengthBytes % blockBytes == 0,
            lengthBytes <= 1 << 39, requestedBytes % blockBytes == 0, requestedBytes <= lengthBytes
        else { return nil }
        var count = 0
        for word in pluggedWords { count += word.nonzeroBitCount }
        pluggedBytes = UInt64(count) &* blockBytes
        if pluggedWords.isEmpty { return }
        // As many words as there are blocks for, a bit at least, and none behind the last block.
        let blockCount = lengthBytes / blockBytes
        let last = pluggedWords[pluggedWords.count - 1]
        guard count > 0, UInt64(pluggedWords.count) == (blockCount &+ 63) / 64,
            blockCount % 64 == 0 || last >> (blockCount % 64) == 0
        else { return nil }
    }
}
