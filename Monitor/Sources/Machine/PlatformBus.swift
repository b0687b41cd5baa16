import KVMHost
import LegacyDevices
import LinuxCalls
import VirtioDevices

/// Takes every access of the guest that is not to memory to the device it is meant for. Processor threads call it at the
/// same time.
///
/// Trust: addresses, widths and data are the guest's. What nobody serves reads as all ones and swallows writes.
final class PlatformBus: @unchecked Sendable {
    /// What an access asks of the machine.
    enum Action: Sendable { case none, powerOff, reset }

    private let transports: [BorrowedReference<VirtioMMIOTransport>]
    /// Their windows follow.
    private let slots: [BorrowedReference<DeviceSlot>]
    let serialPort: BorrowedReference<SerialPort>?
    /// What the references are borrowed from.
    private let kept: (SerialPort?, [VirtioMMIOTransport], [DeviceSlot])
    private let virtualMachine: KVMVirtualMachine
    /// Given to KVM as an irqfd.
    let keyboardInterrupt: EventFile
    /// Called, on a processor's thread, each time that the guest says that it has booted. Set before any runs.
    var whenBooted: (@Sendable () -> Void)?

    /// Guards what follows: rarely used, and by whichever processor happens to.
    let lock = FutexLock()
    var keyboardController = KeyboardController()
    var realTimeClock = RealTimeClock()
    var interruptController = IOInterruptController()

    init(
        virtualMachine: KVMVirtualMachine, serialPort: SerialPort?, transports: [VirtioMMIOTransport],
        slots: [DeviceSlot]
    ) throws(LinuxError) {
        self.virtualMachine = virtualMachine
        keyboardInterrupt = try EventFile()
        kept = (serialPort, transports, slots)
        self.slots = slots.map { BorrowedReference($0) }
        self.serialPort = serialPort.map { BorrowedReference($0) }
        self.transports = transports.map { BorrowedReference($0) }
    }

    // MARK: Memory

    /// A read of `widthBytes` at an address without memory.
    @inline(__always)
    func readMemory(_ address: UInt64, widthBytes: UInt32) -> UInt64 {
        let offset = address &- PlatformLayout.firstDeviceWindow
        let index = offset / PlatformLayout.deviceWindowBytes
        if index < UInt64(transports.count) {
            return transports[Int(index)].use {
                $0.read(offset: offset % PlatformLayout.deviceWindowBytes, width: widthBytes)
            }
        }
        if let slot = slot(index) {
            return slot.use { $0.read(offset: offset % PlatformLayout.deviceWindowBytes, width: widthBytes) }
        }
        let controllerOffset = address &- PlatformLayout.interruptController
        if controllerOffset < 4096 {
            lock.lock()
            defer { lock.unlock() }
            return UInt64(interruptController.read(controllerOffset))
        }
        return .max
    }

    private func slot(_ window: UInt64) -> BorrowedReference<DeviceSlot>? {
        let place = window &- UInt64(transports.count)
        return place < UInt64(slots.count) ? slots[Int(place)] : nil
    }

    /// A write of `widthBytes` at an address without memory.
    @inline(__always)
    func writeMemory(_ address: UInt64, widthBytes: UInt32, _ value: UInt64) {
        let offset = address &- PlatformLayout.firstDeviceWindow
        if offset == 0 { noteBoot(widthBytes, value) }
        let index = offset / PlatformLayout.deviceWindowBytes
        if index < UInt64(transports.count) {
            return transports[Int(index)].use {
                $0.write(offset: offset % PlatformLayout.deviceWindowBytes, width: widthBytes, value: value)
            }
        }
        if let slot = slot(index) {
            return slot.use {
                $0.write(offset: offset % PlatformLayout.deviceWindowBytes, width: widthBytes, value: value)
            }
        }
        let controllerOffset = address &- PlatformLayout.interruptController
        if controllerOffset < 4096 { writeInterruptController(controllerOffset, UInt32(truncatingIfNeeded: value)) }
    }

    /// Guests that want their boot timed write one byte where the first device window begins, whose first register takes
    /// no writes. Source: Firecracker's boot timer device.
    @inline(never)
    private func noteBoot(_ widthBytes: UInt32, _ value: UInt64) {
        if widthBytes == 1, value & 0xff == 123 { whenBooted?() }
    }

    /// The routes change under the lock, so that two processors cannot leave the older ones behind.
    private func writeInterruptController(_ offset: UInt64, _ value: UInt32) {
        lock.lock()
        defer { lock.unlock() }
        guard interruptController.write(offset, value) else { return }
        routeInterrupts()
    }

    /// Tells KVM which message each line sends now. Under the lock.
    func routeInterrupts() {
        let messages = interruptController.messages.map {
            InterruptMessage(line: $0.pin, address: $0.address, data: $0.data)
        }
        do throws(KVMError) {
            try virtualMachine.routeInterrupts(messages)
        } catch {
            writeToStandardError("swiftlet-vmm: interrupts keep their old routes: \(error)\n")
        }
    }
}
