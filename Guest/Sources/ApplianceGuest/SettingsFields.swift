public import AgentProtocol

/// Why settings are refused: which field, and what is wrong with it.
public struct SettingsFault: Error, Equatable, Sendable {
    public let field: ByteString
    public let reason: ByteString

    public init(_ field: ByteString, _ reason: ByteString) {
        self.field = field
        self.reason = reason
    }

    public var text: ByteString { field + ": " + reason }
}

/// Settings as an appliance finds them, `outside.address` and its value, read as what they are meant to be.
///
/// Trust: none. A schema has judged them on the host, but they come with a file that anybody may have made. What these
/// functions return holds nothing but what its type says, so that it can be written into other programs' configurations.
public struct SettingsFields: Sendable {
    public struct Field: Sendable {
        public var path: ByteString
        public var value: ByteString

        public init(_ path: ByteString, _ value: ByteString) {
            self.path = path
            self.value = value
        }
    }

    public static let mostFields = 8192
    private let fields: [Field]

    public init(_ fields: [Field]) { self.fields = fields }

    /// The value as it is, or nil where the field is not set.
    public func value(_ path: ByteString) -> ByteString? { fields.first { $0.path == path }?.value }

    /// Whether anything is set below that.
    public func hasGroup(_ path: ByteString) -> Bool { fields.contains { $0.path.hasPrefix(path + ".") } }

    public func address(_ path: ByteString) throws(SettingsFault) -> IPv4? {
        guard let value = value(path) else { return nil }
        guard let address = IPv4(value), address.isOfAHost else {
            throw SettingsFault(path, "is no IPv4 address of a host, as 10.0.0.1 is")
        }
        return address
    }

    /// An address in its network, which must be one that a host can have.
    public func interfaceAddress(_ path: ByteString) throws(SettingsFault) -> IPv4Prefix? {
        guard let value = value(path) else { return nil }
        guard let prefix = IPv4Prefix(value), (1...30).contains(prefix.length), prefix.hasHost(prefix.address) else {
            throw SettingsFault(path, "is no IPv4 address of a host with a prefix of 1 to 30, as 10.0.0.1/24 is")
        }
        return prefix
    }

    public func network(_ path: ByteString) throws(SettingsFault) -> IPv4Prefix? {
        guard let value = value(path) else { return nil }
        guard let prefix = IPv4Prefix(value), prefix.network == prefix else {
            throw SettingsFault(path, "is no IPv4 network, as 10.0.0.0/24 is")
        }
        return prefix
    }

    public func integer(_ path: ByteString, in range: ClosedRange<UInt64>) throws(SettingsFault) -> UInt64? {
        guard let value = value(path) else { return nil }
        guard let number = Digits.number(value), range.contains(number) else {
            throw SettingsFault(
                path, "is no whole number from " + ByteString(range.lowerBound) + " to " + ByteString(range.upperBound))
        }
        return number
    }

    public func port(_ path: ByteString) throws(SettingsFault) -> UInt16? {
        try integer(path, in: 1...65_535).map { UInt16(truncatingIfNeeded: $0) }
    }

    public func boolean(_ path: ByteString) throws(SettingsFault) -> Bool? {
        guard let value = value(path) else { return nil }
        if value == "true" { return true }
        guard value == "false" else { throw SettingsFault(path, "is neither true nor false") }
        return false
    }

    /// One of some words; their place is returned.
    public func choice(_ path: ByteString, of words: [ByteString]) throws(SettingsFault) -> Int? {
        guard let value = value(path) else { return nil }
        guard let index = words.firstIndex(of: value) else {
            var all: ByteString = ""
            for word in words { all += (all.isEmpty ? "" : ", ") + word }
            throw SettingsFault(path, "is none of " + all)
        }
        return index
    }

    /// Labels of small letters, digits and `-`. Source: RFC 1123 §2.1; RFC 1035 §2.3.4 for the lengths.
    public func hostName(_ path: ByteString) throws(SettingsFault) -> ByteString? {
        guard let value = value(path) else { return nil }
        let isName =
            (1...253).contains(value.count)
            && value.split(UInt8(ascii: ".")).allSatisfy { label in
                (1...63).contains(label.count) && label.bytes.first != 0x2d && label.bytes.last != 0x2d
                    && label.bytes.allSatisfy {
                        (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2d
                    }
            }
        guard isName else { throw SettingsFault(path, "is no host's name in small letters") }
        return value
    }

    public func hardwareAddress(_ path: ByteString) throws(SettingsFault) -> ByteString? {
        guard let value = value(path) else { return nil }
        let isAddress =
            value.count == 17
            && value.bytes.enumerated().allSatisfy { place, byte in
                place % 3 == 2 ? byte == 0x3a : (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte)
            }
        guard isAddress else { throw SettingsFault(path, "is no hardware address, as 52:54:00:12:34:56 is") }
        return value
    }

    /// A duration, which settings have in seconds.
    public func seconds(_ path: ByteString, in range: ClosedRange<UInt64>) throws(SettingsFault) -> UInt64? {
        try integer(path, in: range)
    }

    /// How many elements a list has; none where it is not set.
    public func count(_ path: ByteString, atMost limit: UInt64) throws(SettingsFault) -> Int {
        Int(try integer(path + ".count", in: 0...limit) ?? 0)
    }

    /// The path of each element.
    public func elements(_ path: ByteString, atMost limit: UInt64) throws(SettingsFault) -> [ByteString] {
        (0..<(try count(path, atMost: limit))).map { path + "." + ByteString(UInt($0)) }
    }
}

extension Optional where Wrapped: Sendable {
    /// The value, or the fault of a field that must be set.
    public func required(_ path: ByteString) throws(SettingsFault) -> Wrapped {
        guard let self else { throw SettingsFault(path, "is not set") }
        return self
    }
}
