import GuestMemory
import VirtioQueues

/// How a request ended, as the driver reads it in the last byte. Source: virtio 1.3 §5.2.6.
enum BlockStatus: UInt8 {
    case ok = 0
    case ioError = 1
    case unsupported = 2
}

/// What a request wants. The raw values are the standard's.
enum BlockOperation: UInt32 {
    case read = 0
    case write = 1
    case flush = 4
    case identify = 8
    case discard = 11
    case writeZeroes = 13
}

/// One request while it is at work: everything that is needed to answer it. Already validated.
struct BlockRequest {
    /// The chain, kept to gather its buffers anew should the host do only a part of the work.
    let chain: DescriptorChain
    /// Where the status byte goes: the last byte of the device-writable part.
    let statusAddress: GuestAddress
    let operation: BlockOperation
    /// In bytes from the beginning of the disk.
    let offset: UInt64
    let lengthBytes: UInt64
    /// Of a read or write: how much of it is done already.
    var doneBytes: UInt64 = 0
    /// For discard and write-zeroes: the `FALLOC_FL_` flags.
    let mode: Int32
}

/// The first 16 bytes of a request. Trust: the guest's word.
struct BlockHeader {
    let operation: UInt32
    let sector: UInt64

    /// Takes the header from the front of the readable part; nil when it is too short.
    init?(takingFrom readable: inout IOVectorList) {
        guard let operation = readable.takeFirst(UInt32.self), readable.takeFirst(UInt32.self) != nil,
            let sector = readable.takeFirst(UInt64.self)
        else { return nil }
        self.operation = operation
        self.sector = sector
    }
}

/// The range that a discard or write-zeroes names. Trust: the guest's word. Source: virtio 1.3 §5.2.6.
struct BlockRange {
    let sector: UInt64
    let sectorCount: UInt32
    let flags: UInt32

    /// Takes the one range that a request may hold; nil when there is none or more.
    init?(takingFrom readable: inout IOVectorList) {
        guard readable.totalBytes == 16, let sector = readable.takeFirst(UInt64.self),
            let sectorCount = readable.takeFirst(UInt32.self), let flags = readable.takeFirst(UInt32.self)
        else { return nil }
        self.sector = sector
        self.sectorCount = sectorCount
        self.flags = flags
    }
}
