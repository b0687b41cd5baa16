public import AgentProtocol
import LinuxCalls

/// What a machine's owner asks for around a snapshot, and of a clone. Documentation/agent-protocol.md, "Machines that are
/// copied".
extension AgentConnection {
    private static let copiesID: UInt32 = 0xffff_ff00
    /// What the agent has for its answer above the time that it was given.
    private static let answerMilliseconds: UInt64 = 30_000

    /// The connection to an agent in a machine that has just been restored. The guest's kernel ends every connection when it
    /// hears that the transport was reset, and tells nobody: one that was made a moment before is lost, and made again. A
    /// monitor that makes none before lets it wait.
    public static func toRestored(
        _ endpoint: any AgentEndpoint, until deadline: Deadline
    ) throws(AgentClientError) -> AgentConnection {
        var patienceMilliseconds: UInt64 = 1000
        while true {
            do throws(AgentClientError) {
                let attempt = Deadline(afterMilliseconds: patienceMilliseconds).earlier(deadline)
                return try AgentConnection(to: endpoint, until: attempt)
            } catch {
                guard error.isPassing, !deadline.isOver else { throw error }
                if error.code != .silent { sleep(nanoseconds: 5_000_000) }
                patienceMilliseconds = min(2 * patienceMilliseconds, 5000)
            }
        }
    }

    /// Stops every user program. They go on with `release`, or when this connection ends.
    /// - Returns: how many processes stand still.
    @discardableResult
    public func hold(patienceMilliseconds: UInt32) throws(AgentClientError) -> Int {
        try send(.hold(patienceMilliseconds: patienceMilliseconds), id: Self.copiesID)
        let deadline = Deadline(afterMilliseconds: UInt64(patienceMilliseconds) + Self.answerMilliseconds)
        guard case .held(let count) = try answer(to: Self.copiesID, until: deadline) else {
            throw AgentClientError(.malformed, "the agent did not say how many programs it holds")
        }
        return Int(count)
    }

    /// Lets the programs go on. In a restored machine only after `become`.
    public func release(until deadline: Deadline? = nil) throws(AgentClientError) {
        try expectConfigured(.release, until: deadline ?? Deadline(afterMilliseconds: Self.answerMilliseconds))
    }

    /// Makes the machine another one. The answer comes when its own hooks have ended, of which each may take 5 seconds.
    public func sendIdentity(_ identity: Identity) throws(AgentClientError) {
        try send(.identity(identity), id: Self.copiesID)
    }

    private func expectConfigured(_ message: HostMessage, until deadline: Deadline) throws(AgentClientError) {
        try send(message, id: Self.copiesID)
        try awaitConfigured(until: deadline)
    }

    /// Who was interrupted may wait on.
    public func awaitConfigured(until deadline: Deadline) throws(AgentClientError) {
        guard case .configured = try answer(to: Self.copiesID, until: deadline) else {
            throw AgentClientError(.malformed, "the agent answered something else than was asked")
        }
    }
}
