public import AgentProtocol
public import CodedErrors

/// Why the agent in a guest could not be asked, or did not do what it was asked.
public struct AgentClientError: CodedError {
    public enum Code: String, Sendable {
        /// Nobody listens where the machine's socket should be: it is not running.
        case unreachable = "agent.unreachable"
        /// No answer within the time given.
        case silent = "agent.silent"
        /// The connection ended in the middle.
        case gone = "agent.gone"
        /// What came is not this protocol.
        case malformed = "agent.malformed"
        /// The agent said no; `failure` says why.
        case refused = "agent.refused"
        /// A file of this side could not be read or written while copying.
        case localFile = "copy.local-file"
        /// Somebody asked for the copy's end; `signal` says by which signal.
        case interrupted = "copy.interrupted"
    }

    public let code: Code
    public let message: String
    /// The agent's own words, where it answered.
    public let failure: Failure?
    /// What interrupted, where something did.
    public let signal: Int32?

    public init(_ code: Code, _ message: String, failure: Failure? = nil, signal: Int32? = nil) {
        self.code = code
        self.message = message
        self.failure = failure
        self.signal = signal
    }

    /// The text is a guest's: it is kept to one line, so that it cannot look like several messages.
    public init(_ failure: Failure) {
        let line = failure.text.description.split(whereSeparator: \.isNewline).joined(separator: " ")
        self.init(.refused, line, failure: failure)
    }

    /// Whether another connection, a moment later, may come to more.
    public var isPassing: Bool { code == .silent || code == .gone || code == .unreachable }

    /// The same with more text.
    func adding(_ text: String) -> AgentClientError {
        AgentClientError(code, message + text, failure: failure, signal: signal)
    }

    init(_ error: ProtocolError) {
        self.init(
            .malformed, "what the agent sent is not understood (\(error)); was the machine made by another version?")
    }
}
