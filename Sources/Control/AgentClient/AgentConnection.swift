public import AgentProtocol
import LinuxCalls
import Synchronization

/// A control connection: requests one way, answers the other.
///
/// Sending may be done from any thread. Receiving belongs to one thread at a time.
public final class AgentConnection: @unchecked Sendable {
    public let socket: AgentSocket
    /// What the agent said about itself.
    public let hello: Hello
    /// Called on the thread that receives, before anything that follows from it is received. At most a few hundred times
    /// for one disk, but a guest may say anything.
    public var whenDamaged: (DiskDamage) -> Void = { _ in }
    /// Called on the thread that receives. A guest may say it as often as it likes: do no more than to note it.
    public var whenSettingsProposed: () -> Void = {}
    private let sending = Mutex<Void>(())
    private var assembler = FrameAssembler<AgentMessage>()

    /// Waits for the agent's greeting on a connection whose opening has been sent, or has been read.
    public init(greetingOn socket: AgentSocket, until deadline: Deadline) throws(AgentClientError) {
        self.socket = socket
        var assembler = FrameAssembler<AgentMessage>()
        let frame = try Self.next(&assembler, socket, until: deadline)
        switch frame?.message {
        case .hello(let hello): self.hello = hello
        case .failure(let failure): throw AgentClientError(failure)
        case nil: throw AgentClientError(.gone, "the agent closed the connection without a word")
        default: throw AgentClientError(.malformed, "the agent did not begin with its greeting")
        }
        self.assembler = assembler
    }

    /// Opens a connection and waits for the agent's greeting.
    public convenience init(to endpoint: any AgentEndpoint, until deadline: Deadline) throws(AgentClientError) {
        try self.init(greetingOn: try endpoint.open(.control, until: deadline), until: deadline)
    }

    public func send(_ message: HostMessage, id: UInt32 = 0) throws(AgentClientError) {
        let bytes = Frame(message, id: id).encoded()
        guard bytes.count - frameHeaderBytes <= HostMessage.payloadLimit else {
            throw AgentClientError(
                .refused,
                "the command line and environment are too long: \(bytes.count) bytes of \(HostMessage.payloadLimit)")
        }
        try sending.withLock { _ throws(AgentClientError) in try socket.write(bytes) }
    }

    /// The next frame; nil when the agent has closed the connection.
    public func receive(until deadline: Deadline = .never) throws(AgentClientError) -> Frame<AgentMessage>? {
        while let frame = try Self.next(&assembler, socket, until: deadline) {
            if !isTaken(frame) { return frame }
        }
        return nil
    }

    /// A frame that is here already, without reading.
    public func receivePending() throws(AgentClientError) -> Frame<AgentMessage>? {
        do {
            while let frame = try assembler.next() {
                if !isTaken(frame) { return frame }
            }
            return nil
        } catch {
            throw AgentClientError(error)
        }
    }

    /// What nobody has asked for is no answer to anybody.
    private func isTaken(_ frame: Frame<AgentMessage>) -> Bool {
        switch frame.message {
        case .diskDamaged(let damage): whenDamaged(damage)
        case .settingsProposed: whenSettingsProposed()
        default: return false
        }
        return true
    }

    /// Reads once, which blocks unless the socket is readable; false at the end of the stream.
    public func fill() throws(AgentClientError) -> Bool {
        var bytes: [UInt8] = []
        guard try socket.readSome(appendingTo: &bytes, maximumBytes: 16 << 10, until: .never) else { return false }
        assembler.append(bytes)
        return true
    }

    /// Waits for the answer to a request; other processes' frames are dropped.
    public func answer(to id: UInt32, until deadline: Deadline) throws(AgentClientError) -> AgentMessage {
        while let frame = try receive(until: deadline) {
            guard frame.id == id else { continue }
            if case .failure(let failure) = frame.message { throw AgentClientError(failure) }
            return frame.message
        }
        throw AgentClientError(.gone, "the agent closed the connection before it answered")
    }

    private static func next(
        _ assembler: inout FrameAssembler<AgentMessage>, _ socket: AgentSocket, until deadline: Deadline
    ) throws(AgentClientError) -> Frame<AgentMessage>? {
        while true {
            do throws(ProtocolError) {
                if let frame = try assembler.next() { return frame }
            } catch {
                throw AgentClientError(error)
            }
            var bytes: [UInt8] = []
            guard try socket.readSome(appendingTo: &bytes, maximumBytes: 16 << 10, until: deadline) else {
                return nil
            }
            assembler.append(bytes)
        }
    }
}
