import FabricProtocol

extension NetworkStore {
    /// Has a network reach others, or reach them no more.
    /// - Parameters:
    ///   - reaching: those that it reaches from now on.
    ///   - notReaching: those that it reached, and does not from now on.
    ///   - tell: has everybody know who acts by it; nobody else changes networks meanwhile.
    /// - Returns: what it has become.
    /// - Throws: with what was written down before.
    public func update(
        _ name: String, reaching: [String], notReaching: [String], tell: () throws -> Void
    ) throws -> NetworkRecord {
        let lock = try lock()
        defer { extendLifetime(lock) }
        let before = try find(name)
        var record = before
        if !reaching.isEmpty, !record.isRouted {
            throw NetworkError(
                .invalidSetting,
                "what machines of \"\(name)\" reach is to be said by the one that leads out of it; leave out --reach")
        }
        for gone in notReaching {
            guard before.reachableNetworks.contains(gone), !reaching.contains(gone) else {
                throw NetworkError(
                    .invalidSetting,
                    reaching.contains(gone)
                        ? "\"\(name)\" is to reach \"\(gone)\" and not to reach it; leave out one of them"
                        : "\"\(name)\" is not to reach \"\(gone)\" as it is (--no-reach)")
            }
            record.reachableNetworks.removeAll { $0 == gone }
        }
        for other in reaching {
            guard other != name else {
                throw NetworkError(
                    .invalidSetting, "machines of \"\(name)\" reach one another; leave out --reach \(name)")
            }
            let other = try find(other)
            try Self.check(reaching: other)
            try record.checkMeeting(other)
            if !record.reachableNetworks.contains(other.name) { record.reachableNetworks.append(other.name) }
        }
        guard record != before else { return before }
        try record.write(to: folder(name))
        do { try tell() } catch {
            try? before.write(to: folder(name))
            throw error
        }
        return record
    }
}
