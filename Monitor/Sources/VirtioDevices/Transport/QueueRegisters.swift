import GuestMemory
import VirtioQueues

/// What the driver has written about one queue. Trust: not validated before activation.
struct QueueRegisters {
    /// The device's limit, as QueueSizeMax tells it.
    let maximumSize: UInt16
    var size: UInt32
    var isReady = false
    var descriptorTable: UInt64 = 0
    var availableRing: UInt64 = 0
    var usedRing: UInt64 = 0

    init(maximumSize: UInt16) {
        self.maximumSize = maximumSize
        size = UInt32(maximumSize)
    }

    /// The layout that the driver asks for; a size that does not fit 16 bits becomes 0, which no queue accepts.
    var layout: QueueLayout {
        QueueLayout(
            size: UInt16(exactly: size) ?? 0, descriptorTable: GuestAddress(descriptorTable),
            availableRing: GuestAddress(availableRing), usedRing: GuestAddress(usedRing))
    }

    /// Takes a write to one of the queue's registers; while the queue is ready they do not change.
    mutating func write(_ register: VirtioMMIORegister, _ value: UInt32) {
        if register == .queueReady {
            isReady = value & 1 != 0
            return
        }
        if isReady { return }
        switch register {
        case .queueSize: size = value
        case .queueDescriptorLow: descriptorTable.setLowHalf(value)
        case .queueDescriptorHigh: descriptorTable.setHighHalf(value)
        case .queueDriverLow: availableRing.setLowHalf(value)
        case .queueDriverHigh: availableRing.setHighHalf(value)
        case .queueDeviceLow: usedRing.setLowHalf(value)
        case .queueDeviceHigh: usedRing.setHighHalf(value)
        default: break
        }
    }
}

extension UInt64 {
    mutating func setLowHalf(_ value: UInt32) { self = self & 0xffff_ffff_0000_0000 | UInt64(value) }
    mutating func setHighHalf(_ value: UInt32) { self = self & 0xffff_ffff | UInt64(value) << 32 }
}
