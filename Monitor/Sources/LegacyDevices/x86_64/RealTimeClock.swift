import LinuxCalls

/// The MC146818 clock: the host's time of day in UTC. Ports 0x70 (index) and 0x71 (data). It cannot be set.
/// Serves one processor thread at a time. Source: Motorola MC146818A data sheet.
public struct RealTimeClock {
    private var index: UInt8 = 0
    private let now: @Sendable () -> UInt64

    /// - Parameter now: seconds since 1970 in UTC; the host's clock unless a test says otherwise.
    public init(now: @escaping @Sendable () -> UInt64 = { Clock.realTime.nanoseconds() / 1_000_000_000 }) {
        self.now = now
    }

    /// What a snapshot keeps: the index. The time is the host's.
    public var figures: [UInt64] { [UInt64(index)] }

    /// Trust: the figures come from a file.
    /// - Returns: nil when they are not such a clock's.
    public init?(figures: [UInt64]) {
        self.init()
        guard figures.count == 1, let index = UInt8(exactly: figures[0]) else { return nil }
        self.index = index
    }

    public mutating func write(isIndex: Bool, _ value: UInt8) {
        // Bit 7 of the index port masks NMI.
        if isIndex { index = value & 0x7f }
    }

    public func read(isIndex: Bool) -> UInt8 {
        if isIndex { return index }
        let seconds = now()
        let date = CivilDate(daysSince1970: seconds / 86400)
        switch index {
        case 0x00: return decimal(seconds % 60)
        case 0x02: return decimal(seconds / 60 % 60)
        case 0x04: return decimal(seconds / 3600 % 24)
        case 0x06: return decimal((seconds / 86400 + 4) % 7 + 1)
        case 0x07: return decimal(date.day)
        case 0x08: return decimal(date.month)
        case 0x09: return decimal(date.year % 100)
        case 0x32: return decimal(date.year / 100)
        // A: no update under way, 32768 Hz. B: 24 hours, decimal digits. D: the battery is good.
        case 0x0a: return 0x26
        case 0x0b: return 0x02
        case 0x0d: return 0x80
        default: return 0
        }
    }

    /// Two decimal digits, one in each half.
    private func decimal(_ value: UInt64) -> UInt8 { UInt8(truncatingIfNeeded: (value / 10) << 4 | value % 10) }
}

/// A day in the Gregorian calendar.
struct CivilDate {
    let year: UInt64
    let month: UInt64
    let day: UInt64

    /// Counts years from March, so that the leap day is a year's last.
    init(daysSince1970: UInt64) {
        let days = daysSince1970 + 719_468
        let era = days / 146_097
        let dayOfEra = days % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    }
}
