import LinuxCalls

/// The log, a line each: `2026-08-01T12:00:00.123456789 [ID:THREAD] text`.
///
/// Any thread. A line that the file does not take at once is lost and counted, so that nobody waits for who reads the log.
public final class MonitorLog: @unchecked Sendable {
    private let lock = FutexLock()
    // Guarded by `lock`.
    private var identifier: String
    private var level = LogLevel.info
    private var showsLevel = false
    private var showsOrigin = false
    private var number: Int32 = 1
    private var lost: UInt64 = 0

    public init(identifier: String) { self.identifier = identifier }

    /// Changes what is given.
    /// - Parameter output: a descriptor to write to from now on, which becomes the log's.
    public func set(
        output: Int32? = nil, level: LogLevel? = nil, showsLevel: Bool? = nil, showsOrigin: Bool? = nil
    ) {
        let before = lock.withLock {
            if let level { self.level = level }
            if let showsLevel { self.showsLevel = showsLevel }
            if let showsOrigin { self.showsOrigin = showsOrigin }
            guard let output else { return Int32(1) }
            let before = number
            number = output
            return before
        }
        if before != 1 { _ = FileDescriptor(owning: before) }
    }

    public var lostLines: UInt64 { lock.withLock { lost } }

    /// - Parameters:
    ///   - thread: the part of the monitor that says it.
    ///   - origin: the part of the program, for those who want to see it.
    public func write(_ level: LogLevel, _ text: String, thread: String = "fc_api", origin: String = "MonitorAPI") {
        let time = Clock.realTime.nanoseconds()
        let (line, number) = lock.withLock {
            guard level.rawValue <= self.level.rawValue else { return (String?.none, Int32(1)) }
            var place = "\(identifier):\(thread)"
            if showsLevel { place += ":" + level.mark }
            if showsOrigin { place += ":" + origin }
            return ("\(CivilTime.text(nanoseconds: time)) [\(place)] \(text)\n", self.number)
        }
        guard let line else { return }
        do throws(LinuxError) {
            try writeAll(number, line)
        } catch {
            lock.withLock { lost += 1 }
        }
    }
}

/// A time as people and programs read it. Source: Howard Hinnant's days-to-civil arithmetic, RFC 3339 for the form.
enum CivilTime {
    /// In UTC, to the nanosecond, without a zone.
    static func text(nanoseconds: UInt64) -> String {
        let seconds = Int64(nanoseconds / 1_000_000_000)
        let day = seconds / 86_400
        let second = seconds % 86_400
        // Years are counted from March on, in eras of 400.
        let shifted = day + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let month = (5 * dayOfYear + 2) / 153
        let dayOfMonth = dayOfYear - (153 * month + 2) / 5 + 1
        let civilMonth = month < 10 ? month + 3 : month - 9
        let year = yearOfEra + era * 400 + (civilMonth <= 2 ? 1 : 0)
        return "\(year)-\(padded(civilMonth, 2))-\(padded(dayOfMonth, 2))T\(padded(second / 3600, 2)):"
            + "\(padded(second / 60 % 60, 2)):\(padded(second % 60, 2))."
            + padded(Int64(nanoseconds % 1_000_000_000), 9)
    }

    static func padded(_ number: Int64, _ digits: Int, with filler: String = "0") -> String {
        let text = String(number)
        return String(repeating: filler, count: max(0, digits - text.utf8.count)) + text
    }
}
