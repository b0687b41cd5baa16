import LinuxCalls
public import WireFormats

/// What the guest is told about itself. Any thread: the API writes it, the guest's side reads it.
public final class MetadataStore: @unchecked Sendable {
    private let lock = FutexLock()
    /// As it is when it has been written out.
    public let limitBytes: Int
    // Guarded by `lock`.
    private var content = JSONValue.object([])
    private var isTokenRequired = false
    private var isPlain = false

    public init(limitBytes: Int) { self.limitBytes = limitBytes }

    public var value: JSONValue { lock.withLock { content } }
    /// Version 2 of the service: no answer without a token.
    public var requiresToken: Bool { lock.withLock { isTokenRequired } }
    /// Answers are plain text whatever the guest says that it accepts, as in EC2.
    public var isAlwaysPlain: Bool { lock.withLock { isPlain } }

    func configure(isTokenRequired: Bool, isPlain: Bool) {
        lock.withLock {
            self.isTokenRequired = isTokenRequired
            self.isPlain = isPlain
        }
    }

    /// - Returns: false when it is too large; nothing is changed then.
    public func set(_ value: JSONValue) -> Bool {
        guard value.writtenBytes <= limitBytes else { return false }
        lock.withLock { content = value }
        return true
    }

    /// Merges a change in: nulls remove, objects merge, everything else replaces. Source: RFC 7396.
    public func patch(_ change: JSONValue) -> Bool { set(Self.merged(value, change)) }

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
}
