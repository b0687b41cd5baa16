import CLinux

/// A line of a report to standard error, put together without allocating: for handlers of signals.
public struct ReportLine {
    private var bytes = InlineArray<256, UInt8>(repeating: 0)
    private var count = 0

    public init() {}

    private mutating func add(_ byte: UInt8) {
        guard count < 256 else { return }
        bytes[count] = byte
        count += 1
    }

    public mutating func add(_ text: StaticString) {
        text.withUTF8Buffer { text in
            // SAFETY: the index is below the count.
            for index in 0..<text.count { add(unsafe text[index]) }
        }
    }

    public mutating func add(decimal value: UInt32) {
        var divisor: UInt32 = 1
        while value / divisor >= 10 { divisor *= 10 }
        while divisor > 0 {
            add(UInt8(truncatingIfNeeded: value / divisor % 10) + 0x30)
            divisor /= 10
        }
    }

    public mutating func add(hexadecimal value: UInt64) {
        var shift = 60
        while shift > 0, value >> UInt64(shift) == 0 { shift -= 4 }
        while shift >= 0 {
            let digit = UInt8(truncatingIfNeeded: value >> UInt64(shift) & 15)
            add(digit < 10 ? digit + 0x30 : digit + 0x57)
            shift -= 4
        }
    }

    public func write() {  // SAFETY: the span outlives the call.
        unsafe bytes.span.extracting(0..<count).withUnsafeBufferPointer { buffer in
            _ = linux_system_call(Int(__NR_write), 2, Int(bitPattern: buffer.baseAddress), buffer.count, 0, 0, 0)
        }
    }
}
