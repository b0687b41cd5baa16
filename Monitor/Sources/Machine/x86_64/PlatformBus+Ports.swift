import GuestBoot
import LegacyDevices
import LinuxCalls

extension PlatformBus {
    /// The ports that something answers.
    private enum Port {
        static let keyboardData: UInt16 = 0x60
        static let keyboardStatus: UInt16 = 0x64
        static let clockIndex: UInt16 = 0x70
        static let clockData: UInt16 = 0x71
        static let serial: UInt16 = 0x3f8
    }

    /// As the tables tell the guest.
    private static let power = PowerPorts()

    /// One value of `widthBytes` from a port. All devices here are a byte wide; the rest of a wider read is ones.
    @inline(__always)
    func readPort(_ port: UInt16, widthBytes: UInt8) -> UInt32 {
        if port &- Port.serial < 8, let serialPort {
            return 0xffff_ff00 | UInt32(serialPort.use { $0.read(port &- Port.serial) })
        }
        return 0xffff_ff00 | UInt32(readRarePort(port))
    }

    /// One value to a port; only the lowest byte arrives.
    @inline(__always)
    func writePort(_ port: UInt16, _ value: UInt32) -> Action {
        let byte = UInt8(truncatingIfNeeded: value)
        if port &- Port.serial < 8, let serialPort {
            serialPort.use { $0.write(port &- Port.serial, byte) }
            return .none
        }
        return writeRarePort(port, byte)
    }

    /// Presses control, alt and delete. Any thread.
    func pressKeys() -> KeyboardController.Press {
        lock.lock()
        defer { lock.unlock() }
        let press = keyboardController.press()
        if press == .interrupt { keyboardInterrupt.signal() }
        return press
    }

    private func readRarePort(_ port: UInt16) -> UInt8 {
        lock.lock()
        defer { lock.unlock() }
        switch port {
        case Port.keyboardData, Port.keyboardStatus:
            let isStatus = port == Port.keyboardStatus
            let byte = keyboardController.read(isStatus: isStatus)
            if !isStatus, keyboardController.isPending { keyboardInterrupt.signal() }
            return byte
        case Port.clockIndex, Port.clockData: return realTimeClock.read(isIndex: port == Port.clockIndex)
        case Self.power.sleepControl, Self.power.sleepStatus: return 0
        default: return 0xff
        }
    }

    private func writeRarePort(_ port: UInt16, _ byte: UInt8) -> Action {
        lock.lock()
        defer { lock.unlock() }
        switch port {
        case Port.keyboardData, Port.keyboardStatus:
            switch keyboardController.write(isCommand: port == Port.keyboardStatus, byte) {
            case .reset: return .reset
            case .interrupt: keyboardInterrupt.signal()
            case .none: break
            }
        case Port.clockIndex, Port.clockData: realTimeClock.write(isIndex: port == Port.clockIndex, byte)
        case Self.power.sleepControl: if PowerPorts.isPowerOff(byte) { return .powerOff }
        case Self.power.reset: return .reset
        default: break
        }
        return .none
    }
}
