/// How fast something may go on average, and how much of it may come at once after a pause.
public struct RateLimit: Codable, Equatable, Sendable {
    /// What is counted.
    public enum Unit: Sendable { case bytes, operations }

    private static let greatest: UInt64 = 1 << 50
    /// A bucket's time is whole milliseconds: below this share of a second they would be too coarse.
    private static let leastBurstShare: UInt64 = 100

    /// Zero is no limit.
    public var perSecond: UInt64
    /// Nil: what comes together in a second.
    public var burst: UInt64?

    public init(perSecond: UInt64, burst: UInt64? = nil) {
        self.perSecond = perSecond
        self.burst = burst
    }

    public static let unlimited = RateLimit(perSecond: 0)

    /// Reads `10M`, `512K,burst=4M`, `200`, `none`.
    public init(parsing text: String, _ unit: Unit, option: String) throws(FleetError) {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        let example = unit == .bytes ? "10M or 10M,burst=64M" : "500 or 500,burst=2000"
        let rate = parts.first.flatMap { $0 == "none" ? 0 : Self.amount($0, unit) }
        guard let rate, rate <= Self.greatest, parts.count <= 2 else {
            throw FleetError(
                .invalidSetting,
                "\"\(text)\" is no limit; write \(example) for so \(unit == .bytes ? "much" : "many") a second, or none (\(option))"
            )
        }
        perSecond = rate
        guard parts.count == 2 else { return }
        let least = rate / Self.leastBurstShare + (rate % Self.leastBurstShare > 0 ? 1 : 0)
        guard rate > 0, parts[1].hasPrefix("burst="), let burst = Self.amount(String(parts[1].dropFirst(6)), unit),
            burst >= max(least, 1), burst <= Self.greatest
        else {
            throw FleetError(
                .invalidSetting,
                "\"\(text)\" has a burst that cannot be; write \(example), at least what comes in a hundredth of a second (\(option))"
            )
        }
        self.burst = burst
    }

    /// Bytes need a unit, so that nobody takes one for another.
    private static func amount(_ text: String, _ unit: Unit) -> UInt64? {
        var digits = text[...]
        if unit == .bytes, digits.hasSuffix("/s") { digits.removeLast(2) }
        let number = digits.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        guard let value = Double(number), value.isFinite, value >= 0 else { return nil }
        if value == 0, number.count == digits.count { return 0 }
        let factor: Double
        switch (unit, digits.dropFirst(number.count).lowercased()) {
        case (.bytes, "b"), (.operations, ""): factor = 1
        case (.bytes, "k"), (.bytes, "kb"), (.bytes, "kib"): factor = 0x1p10
        case (.bytes, "m"), (.bytes, "mb"), (.bytes, "mib"): factor = 0x1p20
        case (.bytes, "g"), (.bytes, "gb"), (.bytes, "gib"): factor = 0x1p30
        case (.operations, "k"): factor = 1000
        default: return nil
        }
        let product = (value * factor).rounded()
        return product >= 1 && product <= Double(greatest) ? UInt64(product) : nil
    }

    /// The monitor's bucket: tokens, and the milliseconds in which an empty one fills up. Zero and zero for no limit.
    var bucket: (size: UInt64, milliseconds: UInt64) {
        // A file that was changed by hand may hold anything.
        let rate = min(perSecond, Self.greatest)
        guard rate > 0 else { return (0, 0) }
        let wanted = Double(min(burst ?? rate, Self.greatest)) * 1000 / Double(rate)
        let milliseconds = min(max(wanted.rounded(), 1), 0x1p40)
        // Of that many milliseconds exactly, so that the rate is what was asked for.
        return (UInt64(max((Double(rate) * milliseconds / 1000).rounded(), 1)), UInt64(milliseconds))
    }

    var bucketJSON: String { "{\"size\":\(bucket.size),\"refill_time\":\(bucket.milliseconds)}" }
}

/// A limit of every device of a kind, and those of single ones, which stand above it.
public struct DeviceLimits: Codable, Equatable, Sendable {
    public var every: RateLimit?
    /// By the device's name in the guest: `vdb`, `eth0`.
    public var named: [String: RateLimit] = [:]

    public init() {}

    public subscript(device: String) -> RateLimit {
        let limit = named[device] ?? every
        return limit ?? .unlimited
    }

    var isEmpty: Bool { every == nil && named.isEmpty }

    mutating func forget(_ device: String) { named[device] = nil }

    /// - Parameter device: nil for every one.
    mutating func set(_ limit: RateLimit, of device: String?) {
        if let device {
            named[device] = limit
            if every == nil, limit == .unlimited { named[device] = nil }
        } else {
            named = [:]
            every = limit == .unlimited ? nil : limit
        }
    }
}
