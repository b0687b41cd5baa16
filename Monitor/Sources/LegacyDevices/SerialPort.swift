public import LinuxCalls
import Synchronization

/// A 16550A serial port: the guest's console.
///
/// Processor threads read and write its registers; the loop's thread moves bytes between it and the host. Both sides meet
/// in two small buffers under one lock. When the host does not take the output, the buffer fills and the transmitter
/// reads as busy, so a guest that floods its console slows itself down and nobody else; what it writes regardless is
/// dropped and counted.
/// Source: National Semiconductor PC16550D data sheet, §8.
public final class SerialPort: EventHandler, @unchecked Sendable {
    private enum Interrupts {
        static let receivedData: UInt8 = 1 << 0
        static let transmitterEmpty: UInt8 = 1 << 1
    }
    static let receiveCapacity = 64
    static let transmitCapacity = 4096

    /// Given to KVM as an irqfd.
    public let interrupt: EventFile
    private let loop: EventLoop
    private let input: Int32?
    private let output: Int32
    let transmitReady: EventFile

    // Guarded by the lock.
    let lock = FutexLock()
    var interruptEnable: UInt8 = 0
    var lineControl: UInt8 = 0
    var modemControl: UInt8 = 0
    var scratch: UInt8 = 0
    var divisor: UInt16 = 12
    var isFIFOEnabled = false
    var isTransmitterEmptyPending = false
    var receive = ByteRing(capacity: receiveCapacity)
    var transmit = ByteRing(capacity: transmitCapacity)

    private var inputWatch: EventRegistration?
    private var outputWatch: EventRegistration?
    private let dropped = Atomic<UInt64>(0)

    /// Bytes that the guest wrote while the transmitter was busy, lost.
    public var droppedBytes: UInt64 { dropped.load(ordering: .relaxed) }

    /// - Parameters:
    ///   - input: read from, when there is one; non-blocking or a terminal.
    ///   - output: written to; when it is not ready the guest waits.
    public init(loop: EventLoop, input: Int32?, output: Int32) throws(LinuxError) {
        self.loop = loop
        self.input = input
        self.output = output
        interrupt = try EventFile()
        transmitReady = try EventFile()
        _ = try loop.add(transmitReady.descriptor.number, .readable, handler: self, token: Token.transmit)
        if let input {
            // A regular file cannot be watched; it is then no console input.
            inputWatch = try? loop.add(input, .readable, handler: self, token: Token.input)
        }
    }

    // MARK: Processor threads

    /// The guest reads register `offset` (0 to 7).
    public func read(_ offset: UInt16) -> UInt8 {
        lock.lock()
        defer { lock.unlock() }
        switch offset {
        case 0 where isDivisorAccess: return UInt8(truncatingIfNeeded: divisor)
        case 1 where isDivisorAccess: return UInt8(divisor >> 8)
        case 0:
            let byte = receive.popFirst() ?? 0
            if receive.isEmpty { resumeInput() }
            return byte
        case 1: return interruptEnable
        case 2: return identifyInterrupt()
        case 3: return lineControl
        case 4: return modemControl
        case 5:
            let isBusy = transmit.isFull
            return (receive.isEmpty ? 0 : 1) | (isBusy ? 0 : 0x60)
        case 6:
            // In loopback the modem outputs come back as inputs; else clear to send, data set ready, carrier.
            guard modemControl & 0x10 != 0 else { return 0xb0 }
            let control = modemControl
            return (control & 2) << 3 | (control & 1) << 5 | (control & 4) << 4 | (control & 8) << 4
        default: return scratch
        }
    }

    /// The guest writes register `offset` (0 to 7).
    public func write(_ offset: UInt16, _ value: UInt8) {
        lock.lock()
        defer { lock.unlock() }
        switch offset {
        case 0 where isDivisorAccess: divisor = divisor & 0xff00 | UInt16(value)
        case 1 where isDivisorAccess: divisor = divisor & 0x00ff | UInt16(value) << 8
        case 0: send(value)
        case 1:
            let isTransmitterNewlyEnabled = value & ~interruptEnable & Interrupts.transmitterEmpty != 0
            interruptEnable = value & 0x0f
            if isTransmitterNewlyEnabled { isTransmitterEmptyPending = true }
            raiseIfPending()
        case 2:
            isFIFOEnabled = value & 1 != 0
            if value & 2 != 0 { receive.removeAll() }
        case 3: lineControl = value
        case 4: modemControl = value & 0x1f
        case 7: scratch = value
        default: break
        }
    }

    private var isDivisorAccess: Bool { lineControl & 0x80 != 0 }

    private func identifyInterrupt() -> UInt8 {
        let fifo: UInt8 = isFIFOEnabled ? 0xc0 : 0
        if interruptEnable & Interrupts.receivedData != 0, !receive.isEmpty { return fifo | 0x04 }
        if interruptEnable & Interrupts.transmitterEmpty != 0, isTransmitterEmptyPending {
            isTransmitterEmptyPending = false
            return fifo | 0x02
        }
        return fifo | 0x01
    }

    private func send(_ byte: UInt8) {
        if modemControl & 0x10 != 0 {
            _ = receive.append(byte)
        } else {
            let wasEmpty = transmit.isEmpty
            if !transmit.append(byte) { dropped.add(1, ordering: .relaxed) }
            if wasEmpty { transmitReady.signal() }
        }
        if !transmit.isFull { isTransmitterEmptyPending = true }
        raiseIfPending()
    }

    func raiseIfPending() {
        let isReceivePending = interruptEnable & Interrupts.receivedData != 0 && !receive.isEmpty
        let isTransmitPending = interruptEnable & Interrupts.transmitterEmpty != 0 && isTransmitterEmptyPending
        if isReceivePending || isTransmitPending { interrupt.signal() }
    }

    private func resumeInput() {
        guard isInputPaused else { return }
        isInputPaused = false
        transmitReady.signal()
    }

    // MARK: The loop's thread

    private enum Token {
        static let transmit: UInt32 = 0
        static let input: UInt32 = 1
        static let output: UInt32 = 2
    }
    private var isInputPaused = false

    public func handleEvent(token: UInt32, readiness: Readiness) {
        switch token {
        case Token.transmit:
            transmitReady.drain()
            watchInput()
            flush()
        case Token.input: takeInput()
        default:
            unwatchOutput()
            flush()
        }
    }

    /// Writes out what the guest has sent so far, as far as the host takes it.
    public func flush() {
        while outputWatch == nil {
            lock.lock()
            let bytes = outgoing(transmit.prefix)
            lock.unlock()
            if bytes == 0 { return }
            let written = writeOut(outgoingBytes.span.extracting(first: bytes))
            lock.lock()
            let wasFull = transmit.isFull
            transmit.removeFirst(written)
            if wasFull, written > 0 {
                isTransmitterEmptyPending = true
                raiseIfPending()
            }
            lock.unlock()
        }
    }

    /// Copies what is to be written, so that the lock is not held while the host takes it.
    private func outgoing(_ bytes: Span<UInt8>) -> Int {
        let count = min(bytes.count, outgoingBytes.count)
        for index in 0..<count { outgoingBytes[index] = bytes[index] }
        return count
    }
    private var outgoingBytes = [UInt8](repeating: 0, count: 512)
    private var incomingBytes = [UInt8](repeating: 0, count: receiveCapacity)

    /// Returns how many bytes are dealt with: written, or beyond saving because the reader has gone.
    private func writeOut(_ bytes: Span<UInt8>) -> Int {
        do throws(LinuxError) {
            return try LinuxCalls.write(output, bytes)
        } catch {
            if error == .tryAgain {
                outputWatch = try? loop.add(output, .writable, handler: self, token: Token.output)
                return 0
            }
            return bytes.count
        }
    }

    private func unwatchOutput() {
        guard let outputWatch else { return }
        loop.remove(outputWatch, output)
        self.outputWatch = nil
    }

    private func watchInput() {
        lock.lock()
        let isWanted = !isInputPaused
        lock.unlock()
        guard isWanted, inputWatch == nil, !isInputEnded, let input else { return }
        inputWatch = try? loop.add(input, .readable, handler: self, token: Token.input)
    }
    private var isInputEnded = false

    private func unwatchInput() {
        guard let inputWatch, let input else { return }
        loop.remove(inputWatch, input)
        self.inputWatch = nil
    }

    private func takeInput() {
        guard let input else { return }
        lock.lock()
        let room = Self.receiveCapacity - receive.count
        if room == 0 { isInputPaused = true }
        lock.unlock()
        if room == 0 { return unwatchInput() }
        let count: Int
        do throws(LinuxError) {
            var bytes = incomingBytes.mutableSpan
            count = try LinuxCalls.read(input, into: &bytes, maximumBytes: room)
        } catch {
            if error == .tryAgain { return }
            count = 0
        }
        if count == 0 {
            isInputEnded = true
            return unwatchInput()
        }
        lock.lock()
        for index in 0..<count { _ = receive.append(incomingBytes[index]) }
        raiseIfPending()
        lock.unlock()
    }
}
