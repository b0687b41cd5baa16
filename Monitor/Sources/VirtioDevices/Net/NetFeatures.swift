import VirtioQueues

/// The device's feature bits. Source: virtio 1.3 §5.1.3.
enum NetFeature {
    static let checksum: UInt64 = 1 << 0
    static let guestChecksum: UInt64 = 1 << 1
    static let mtu: UInt64 = 1 << 3
    static let mac: UInt64 = 1 << 5
    static let guestTCP4: UInt64 = 1 << 7
    static let guestTCP6: UInt64 = 1 << 8
    static let guestUFO: UInt64 = 1 << 10
    static let hostTCP4: UInt64 = 1 << 11
    static let hostTCP6: UInt64 = 1 << 12
    static let hostUFO: UInt64 = 1 << 14
    static let mergeableBuffers: UInt64 = 1 << 15
    static let status: UInt64 = 1 << 16
    static let guestUDP4: UInt64 = 1 << 54
    static let guestUDP6: UInt64 = 1 << 55
    static let hostUDP: UInt64 = 1 << 56

    static let always: UInt64 =
        QueueFeatures.all | checksum | guestChecksum | mac | guestTCP4 | guestTCP6 | guestUFO | hostTCP4 | hostTCP6
        | hostUFO | mergeableBuffers | status
    static let withUDPSegmentation: UInt64 = guestUDP4 | guestUDP6 | hostUDP
    /// Those with which frames longer than the MTU arrive.
    static let guestLargeFrames: UInt64 = guestTCP4 | guestTCP6 | guestUFO | guestUDP4 | guestUDP6
}

/// The TUN_F bits of TUNSETOFFLOAD.
enum NetOffload {
    static let checksum: UInt32 = 0x01
    static let tcp4: UInt32 = 0x02
    static let tcp6: UInt32 = 0x04
    static let ufo: UInt32 = 0x10
    static let udp4: UInt32 = 0x20
    static let udp6: UInt32 = 0x40

    /// What a guest with these features can receive. Without checksums there is no segmentation either.
    static func offloads(features: UInt64) -> UInt32 {
        guard features & NetFeature.guestChecksum != 0 else { return 0 }
        var offloads = checksum
        if features & NetFeature.guestTCP4 != 0 { offloads |= tcp4 }
        if features & NetFeature.guestTCP6 != 0 { offloads |= tcp6 }
        if features & NetFeature.guestUFO != 0 { offloads |= ufo }
        if features & NetFeature.guestUDP4 != 0 { offloads |= udp4 }
        if features & NetFeature.guestUDP6 != 0 { offloads |= udp6 }
        return offloads
    }
}
