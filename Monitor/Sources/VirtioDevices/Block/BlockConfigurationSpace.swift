/// The configuration space of a block device. Source: virtio 1.3 §5.2.4.
struct BlockConfigurationSpace {
    /// Most buffers of one request, header and status aside.
    static let maximumSegments: UInt64 = 126
    /// Longest discard: 1 GiB.
    static let maximumDiscardSectors: UInt64 = 1 << 21
    /// Longest write-zeroes: 64 MiB, since it may have to be done by writing zeroes.
    static let maximumWriteZeroesSectors: UInt64 = 1 << 17

    let capacitySectors: UInt64

    func read(offset: UInt32, width: UInt32) -> UInt32 {
        var answer = ConfigurationAnswer(offset: offset, width: width)
        answer.place(capacitySectors, at: 0, width: 8)
        answer.place(Self.maximumSegments, at: 12, width: 4)
        answer.place(512, at: 20, width: 4)  // blk_size
        answer.place(3, at: 24, width: 1)  // physical blocks of 2^3 sectors
        answer.place(8, at: 26, width: 2)  // smallest good access, in sectors
        answer.place(1, at: 34, width: 2)  // queues
        answer.place(Self.maximumDiscardSectors, at: 36, width: 4)
        answer.place(1, at: 40, width: 4)  // ranges of one discard
        answer.place(8, at: 44, width: 4)  // discards are best aligned to so many sectors
        answer.place(Self.maximumWriteZeroesSectors, at: 48, width: 4)
        answer.place(1, at: 52, width: 4)  // ranges of one write-zeroes
        answer.place(1, at: 56, width: 1)  // a write-zeroes may give room back
        return answer.value
    }
}

/// The device's own feature bits. Source: virtio 1.3 §5.2.3.
enum BlockFeatures {
    static let maximumSegmentBytes: UInt64 = 1 << 1
    static let maximumSegments: UInt64 = 1 << 2
    static let readOnly: UInt64 = 1 << 5
    static let blockSize: UInt64 = 1 << 6
    static let flush: UInt64 = 1 << 9
    static let topology: UInt64 = 1 << 10
    static let discard: UInt64 = 1 << 13
    static let writeZeroes: UInt64 = 1 << 14
}
