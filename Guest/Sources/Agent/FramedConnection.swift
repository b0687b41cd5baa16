import AgentProtocol
import LinuxCalls

/// A connection of frames, whatever their messages: what every `FramedConnection` does.
///
/// Not read from while more than `outboxBytes` wait to be taken, so that one who asks without listening cannot make the
/// agent grow.
class FrameConnection: EventHandler, ConnectionOwner {
    private let server: AgentServer
    private let handle: Handle
    private var watch = Watch()
    private var splitter: FrameSplitter
    private var outbox: [UInt8] = []
    private var taken = 0
    private var isClosed = false
    private var closesWhenSent = false
    /// Whether it ended otherwise than by the other side's end: with the transport, as all do when a machine is restored.
    private(set) var wasReset = false
    /// The deadline of one that has sent its last frame.
    private var lingering: UInt32?

    /// Called once, when the connection has ended, whoever ended it.
    var onClose: (() -> Void)?
    /// Called when the outbox is empty: the place of one who has more to send.
    var onDrained: (() -> Void)?

    init(_ server: AgentServer, _ handle: Handle, payloadLimit: Int) {
        self.server = server
        self.handle = handle
        splitter = FrameSplitter(payloadLimit: payloadLimit)
        server.add(self)
    }

    /// What a direction's own class does with a frame that has come.
    func take(_ frame: RawFrame) throws(ProtocolError) {}

    /// Tells the other side that its bytes are not a frame; the connection ends thereafter.
    func refuse(_ error: ProtocolError) {}

    /// Forgets the callbacks, and with them whatever they hold.
    func forgetCallbacks() {
        onClose = nil
        onDrained = nil
    }

    /// To be called when the callbacks are set.
    func begin() { update() }

    var isOpen: Bool { !isClosed }

    func send(frame: [UInt8]) {
        guard !isClosed else { return }
        outbox += frame
        flush()
        update()
    }

    /// Ends the connection after what is in the outbox.
    func finish() {
        closesWhenSent = true
        flush()
        update()
    }

    /// Gives the connection away with what was read too far.
    func detach() -> (Handle, [UInt8]) {
        flush()
        leave()
        return (handle, splitter.takeRest())
    }

    func close() {
        guard !isClosed else { return }
        leave()
        handle.close()
    }

    func handleEvent(token: UInt32, readiness: Readiness) {
        guard !isClosed else { return }
        if taken < outbox.count { flush() }
        if isClosed { return }
        if taken == outbox.count, !closesWhenSent, let onDrained { onDrained() }
        if isClosed { return }
        if lingering != nil { discard() } else if canRead { receive() }
        if !isClosed { update() }
    }

    private var canRead: Bool { outbox.count - taken < 64 << 10 && !closesWhenSent }

    private func receive() {
        do throws(LinuxError) {
            let count = try LinuxCalls.read(handle.number, over: &server.scratch.bytes)
            if count == 0 { return close() }
            splitter.append(server.scratch.bytes[..<count])
        } catch {
            if error != .tryAgain {
                wasReset = true
                close()
            }
            return
        }
        do throws(ProtocolError) {
            while !isClosed, !closesWhenSent, let frame = try splitter.next() { try take(frame) }
        } catch {
            refuse(error)
            finish()
        }
    }

    private func discard() {
        do throws(LinuxError) {
            if try LinuxCalls.read(handle.number, over: &server.scratch.bytes) == 0 { close() }
        } catch {
            if error != .tryAgain { close() }
        }
    }

    private func flush() {
        guard !isClosed else { return }
        do throws(LinuxError) {
            while taken < outbox.count { taken += try LinuxCalls.write(handle.number, outbox[taken...]) }
            outbox = []
            taken = 0
        } catch {
            if error != .tryAgain {
                wasReset = error != .brokenPipe
                return close()
            }
            if taken > 256 << 10 {
                outbox.removeSubrange(..<taken)
                taken = 0
            }
        }
    }

    private func update() {
        guard !isClosed else { return }
        if closesWhenSent, taken == outbox.count, lingering == nil {
            // The other side closes when it has read the last frame; what it still sends is thrown away.
            shutDownSocket(handle.number, 1)
            lingering = server.deadlines.after(milliseconds: 10_000) { self.close() }
        }
        var wanted: Readiness = canRead || lingering != nil ? .readable : []
        if taken < outbox.count || (onDrained != nil && !closesWhenSent) { wanted.insert(.writable) }
        watch.want(wanted, handle.number, server.loop, self)
    }

    private func leave() {
        isClosed = true
        if let lingering { server.deadlines.cancel(lingering) }
        watch.want([], handle.number, server.loop, self)
        server.remove(self)
        let ending = onClose
        forgetCallbacks()
        ending?()
    }
}

/// A connection that reads the messages of one direction and writes those of the other.
final class FramedConnection<Incoming: FramedMessage, Outgoing: AnswerMessage>: FrameConnection {
    /// Called for each frame.
    var onFrame: ((Frame<Incoming>) -> Void)?

    init(_ server: AgentServer, _ handle: Handle) {
        super.init(server, handle, payloadLimit: Incoming.payloadLimit)
    }

    func send(_ message: Outgoing, id: UInt32 = 0) { send(frame: Frame(message, id: id).encoded()) }

    override func take(_ frame: RawFrame) throws(ProtocolError) { onFrame?(try Frame(frame)) }

    override func refuse(_ error: ProtocolError) { send(.failure(Failure(.malformedMessage, text: error.text))) }

    override func forgetCallbacks() {
        super.forgetCallbacks()
        onFrame = nil
    }
}

/// A message that can say what went wrong.
protocol AnswerMessage: FramedMessage {
    static func failure(_ failure: Failure) -> Self
}

extension AgentMessage: AnswerMessage {}
extension TransferMessage: AnswerMessage {}

typealias ControlConnection = FramedConnection<HostMessage, AgentMessage>
typealias FilesConnection = FramedConnection<TransferMessage, TransferMessage>
