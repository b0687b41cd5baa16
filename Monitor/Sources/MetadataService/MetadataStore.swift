import LinuxCalls
public import WireFormats

/// What the guest is told about itself, and by which interfaces. Any thread: the API writes it, the guest's side reads it.
public final class MetadataStore: @unchecked Sendable {
    /// How the service answers.
    package struct Manner {
        /// Version 2 of the service: no answer without a token.
        package var isTokenRequired = false
        /// Answers are plain text whatever the guest says that it accepts, as in EC2.
        package var isPlain = false
    }

    private let lock = FutexLock()
    /// As it is when it has been written out.
    public let limitBytes: Int
    // Guarded by `lock`.
    private var content: [UInt8] = [0x7b, 0x7d]
    private var currentManner = Manner()
    private var address: UInt32 = 0
    private var interfaces: [String] = []

    public init(limitBytes: Int) { self.limitBytes = limitBytes }

    /// All of it as JSON.
    public var written: [UInt8] { lock.withLock { content } }
    package var manner: Manner { lock.withLock { currentManner } }

    /// - Parameters:
    ///   - address: the service's IPv4 address, the first byte highest.
    ///   - interfaces: the names of those whose guest's frames to that address are answered.
    public func configure(address: UInt32, interfaces: [String], isTokenRequired: Bool, isPlain: Bool) {
        lock.withLock {
            self.address = address
            self.interfaces = interfaces
            currentManner = Manner(isTokenRequired: isTokenRequired, isPlain: isPlain)
        }
    }

    /// - Returns: what answers the guest on an interface; nil on one that the service is not for.
    public func endpoint(ofInterface name: String, mtu: UInt16?) -> MetadataEndpoint? {
        let address = lock.withLock { interfaces.contains(name) ? self.address : 0 }
        return address == 0 ? nil : MetadataEndpoint(self, address: address, mtu: mtu)
    }

    /// - Returns: false when it is too large; nothing is changed then.
    public func set(_ value: JSONValue) -> Bool {
        var bytes: [UInt8] = []
        Self.sorted(value).write(to: &bytes)
        guard bytes.count <= limitBytes else { return false }
        // In no more room than it takes.
        let text = [UInt8](bytes[...])
        lock.withLock { content = text }
        return true
    }

    /// Merges a change in: nulls remove, objects merge, everything else replaces. Source: RFC 7396.
    public func patch(_ change: JSONValue) -> Bool { set(Self.merged(JSONParser.parseWritten(written), change)) }

    static func merged(_ target: JSONValue, _ change: JSONValue) -> JSONValue {
        guard case .object(let changes) = change else { return change }
        var members = target.members ?? []
        for change in changes {
            let index = members.firstIndex { $0.name == change.name }
            if change.value == .null {
                if let index { members.remove(at: index) }
                continue
            }
            let value = merged(index.map { members[$0].value } ?? .null, change.value)
            if let index {
                members[index] = JSONMember(change.name, value)
            } else {
                members.append(JSONMember(change.name, value))
            }
        }
        return .object(members)
    }

    /// With the members of each object in the order of their names' bytes, as the original lists them.
    private static func sorted(_ value: JSONValue) -> JSONValue {
        switch value {
        case .array(let elements): return .array(elements.map { sorted($0) })
        case .object(let members):
            var sorted: [JSONMember] = []
            // One behind the other: they are few, or in order already.
            for member in members {
                var place = sorted.count
                while place > 0, member.name.utf8.lexicographicallyPrecedes(sorted[place - 1].name.utf8) { place -= 1 }
                sorted.insert(JSONMember(member.name, Self.sorted(member.value)), at: place)
            }
            return .object(sorted)
        default: return value
        }
    }

    // MARK: Looking up

    /// Why there is nothing to say.
    package enum Absence: Error { case notFound, notText }

    /// What stands at a path, as JSON or as EC2 writes it.
    /// - Parameter path: names with slashes before them; slashes in a row count once. Source: RFC 6901.
    package func text(at path: [UInt8], isJSON: Bool) throws(Absence) -> [UInt8] {
        let text = WrittenJSON(bytes: written)
        var value = 0
        for part in path.split(separator: 0x2f) {
            guard let next = Self.part(text, value, Self.unescaped(part)) else { throw .notFound }
            value = next
        }
        if isJSON { return [UInt8](text.bytes[value..<text.end(of: value)]) }
        switch text.kind(value) {
        case UInt8(ascii: "\""): return text.text(value)
        case UInt8(ascii: "{"):
            var bytes: [UInt8] = []
            for (index, member) in text.members(value).enumerated() {
                if index > 0 { bytes.append(0x0a) }
                bytes += member.name
                if text.kind(member.value) == UInt8(ascii: "{") { bytes.append(0x2f) }
            }
            return bytes
        default: throw .notText
        }
    }

    private static func part(_ text: WrittenJSON, _ value: Int, _ name: [UInt8]) -> Int? {
        switch text.kind(value) {
        case UInt8(ascii: "{"): return text.members(value).first { $0.name == name }?.value
        case UInt8(ascii: "["):
            // Digits without a zero before them.
            guard (1...9).contains(name.count), name.count == 1 || name[0] != 0x30 else { return nil }
            var index = 0
            for byte in name {
                guard byte >= 0x30, byte <= 0x39 else { return nil }
                index = index * 10 + Int(byte - 0x30)
            }
            return text.element(value, index)
        default: return nil
        }
    }

    /// `~1` stands for a slash and `~0` for a tilde.
    private static func unescaped(_ part: ArraySlice<UInt8>) -> [UInt8] {
        var bytes: [UInt8] = []
        var isEscape = false
        for byte in part {
            if isEscape, byte == 0x31 || byte == 0x30 {
                bytes[bytes.count - 1] = byte == 0x31 ? 0x2f : 0x7e
                // A tilde that was escaped begins no escape.
                isEscape = false
            } else {
                bytes.append(byte)
                isEscape = byte == 0x7e
            }
        }
        return bytes
    }
}
