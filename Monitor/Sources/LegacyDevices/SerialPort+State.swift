import LinuxCalls

/// What a snapshot keeps of the serial port.
///
/// Trust: when it comes from a file, nothing in it is believed; `SerialPort.restore` judges it.
public struct SerialPortState: Equatable, Sendable {
    /// Interrupt enable, line control, modem control, scratch, divisor, whether the FIFOs are enabled, whether "transmitter
    /// empty" is pending.
    public var figures: [UInt64] = []
    /// Typed, and not read by the guest yet.
    public var received: [UInt8] = []
    /// Written by the guest, and not taken by the host yet.
    public var transmitted: [UInt8] = []

    public init() {}
}

extension SerialPort {
    /// The port's state; the guest's processors stand still.
    public func save() -> SerialPortState {
        lock.withLock {
            var state = SerialPortState()
            state.figures = [
                UInt64(interruptEnable), UInt64(lineControl), UInt64(modemControl), UInt64(scratch), UInt64(divisor),
                isFIFOEnabled ? 1 : 0, isTransmitterEmptyPending ? 1 : 0,
            ]
            state.received = receive.bytes
            state.transmitted = transmit.bytes
            return state
        }
    }

    /// Puts a fresh port into a saved state. What the guest had written goes out here.
    /// - Returns: false when it is not such a port's state; nothing is changed then.
    public func restore(_ state: SerialPortState) -> Bool {
        let figures = state.figures
        guard figures.count == 7, figures[..<4].allSatisfy({ $0 < 256 }), let divisor = UInt16(exactly: figures[4]),
            figures[5] < 2, figures[6] < 2, state.received.count <= Self.receiveCapacity,
            state.transmitted.count <= Self.transmitCapacity
        else { return false }
        lock.withLock {
            interruptEnable = UInt8(truncatingIfNeeded: figures[0])
            lineControl = UInt8(truncatingIfNeeded: figures[1])
            modemControl = UInt8(truncatingIfNeeded: figures[2])
            scratch = UInt8(truncatingIfNeeded: figures[3])
            self.divisor = divisor
            isFIFOEnabled = figures[5] == 1
            isTransmitterEmptyPending = figures[6] == 1
            for byte in state.received { _ = receive.append(byte) }
            for byte in state.transmitted { _ = transmit.append(byte) }
            raiseIfPending()
        }
        transmitReady.signal()
        return true
    }
}
