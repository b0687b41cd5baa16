import WireFormats

/// How much a device may do in a time: bytes and operations apart.
public struct RateLimits: Equatable, Sendable {
    /// A store of tokens that fills up again by and by. One with a size or time of zero limits nothing.
    public struct Bucket: Equatable, Sendable {
        public var size: UInt64
        /// What there is at the beginning besides, and only once.
        public var oneTimeBurst: UInt64
        /// How long it takes to fill it from empty.
        public var refillMilliseconds: UInt64

        public init(size: UInt64, oneTimeBurst: UInt64 = 0, refillMilliseconds: UInt64) {
            self.size = size
            self.oneTimeBurst = oneTimeBurst
            self.refillMilliseconds = refillMilliseconds
        }

        public var isLimiting: Bool { size > 0 && refillMilliseconds > 0 }
    }

    /// Nil: not limited, and in a change: left as it is.
    public var bytes: Bucket?
    public var operations: Bucket?

    public init(bytes: Bucket? = nil, operations: Bucket? = nil) {
        self.bytes = bytes
        self.operations = operations
    }
}

extension RateLimits {
    init(_ value: JSONValue, path: String) throws(ConfigurationError) {
        let reader = try ObjectReader(value, path: path, known: ["bandwidth", "ops"])
        self.init(
            bytes: try Self.bucket(reader, "bandwidth"), operations: try Self.bucket(reader, "ops"))
    }

    private static func bucket(_ reader: ObjectReader, _ name: String) throws(ConfigurationError) -> Bucket? {
        guard let value = reader.value(name) else { return nil }
        let bucket = try ObjectReader(
            value, path: reader.field(name), known: ["size", "one_time_burst", "refill_time"])
        let range: ClosedRange<Int64> = 0...Int64.max
        return Bucket(
            size: UInt64(try bucket.requiredInteger("size", range)),
            oneTimeBurst: UInt64(try bucket.integer("one_time_burst", range) ?? 0),
            refillMilliseconds: UInt64(try bucket.requiredInteger("refill_time", range)))
    }
}

extension ObjectReader {
    func limits(_ name: String) throws(ConfigurationError) -> RateLimits? {
        guard let value = value(name) else { return nil }
        return try RateLimits(value, path: field(name))
    }
}
