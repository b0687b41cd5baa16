import GuestMemory

/// Where everything lies that the guest finds besides memory.
enum PlatformLayout {
    /// The first virtio-mmio window; one page each from here.
    static let firstDeviceWindow = GuestMemoryPlan.deviceWindowStart
    static let deviceWindowBytes: UInt64 = 4096
    /// The interrupt of the first virtio device; one each from here, up to the last pin.
    static let firstDeviceInterrupt: UInt32 = 5
    static let serialInterrupt: UInt32 = 4
    static let keyboardInterrupt: UInt32 = 1
    /// Tells of a new generation (`MachineGeneration`).
    static let generationInterrupt: UInt32 = 3
    /// The last of the interrupt controller's 24 pins.
    static let powerButtonInterrupt: UInt32 = 23

    static let interruptController: UInt64 = 0xfec0_0000
    /// Three pages for processors without real mode in guests, below the last page under 4 GiB.
    static let taskState: UInt32 = 0xfffb_d000

    static func deviceWindow(_ index: Int) -> UInt64 { firstDeviceWindow + UInt64(index) * deviceWindowBytes }
}
