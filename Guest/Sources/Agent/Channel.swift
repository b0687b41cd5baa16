import LinuxCalls

/// Bytes that everything on the loop's thread reads into, so that a quiet stream holds no memory.
final class Scratch {
    static let byteCount = 64 << 10
    var bytes = [UInt8](repeating: 0, count: byteCount)
}

/// Carries raw bytes between a connection and a process's pipe or terminal, or between two sockets.
///
/// Holds at most `Scratch.byteCount` bytes a direction, and those only while the receiver does not take them; the sender
/// is not read from until it has. The end of file travels along.
final class Channel: EventHandler, ConnectionOwner {
    enum Kind { case socket, pipe, terminal }

    private struct Flow {
        var exists: Bool
        /// Read and thrown away: for what nobody takes, so that its end is seen.
        var discards = false
        var pending: [UInt8] = []
        var taken = 0
        var sourceEnded = false
        var isFinished = false

        var isBlocked: Bool { taken < pending.count }
    }

    private let server: AgentServer
    private let near: Handle
    private let far: Handle
    private let farKind: Kind
    private var nearWatch = Watch()
    private var farWatch = Watch()
    private var inbound: Flow
    private var outbound: Flow
    /// Bytes that are still taken from a process that has ended; nil while it runs.
    private var drainBudget: Int?
    private var lingering: UInt32?
    private var isClosed = false
    /// Nothing is moved and nothing is heard of: its program is held.
    private var isPaused = false

    /// - Parameters:
    ///   - near: the connection; a socket.
    ///   - far: the other side. Both are made non-blocking and belong to the channel from now on.
    ///   - first: bytes that were already read from `near`.
    ///   - kept: what the connection before this one has left.
    init(
        _ server: AgentServer, near: Handle, far: Handle, _ farKind: Kind, inbound: Bool, outbound: Bool,
        first: [UInt8] = [], kept: Kept? = nil
    ) {
        self.server = server
        self.near = near
        self.far = far
        self.farKind = farKind
        self.inbound = Flow(
            exists: inbound || outbound, discards: !inbound, pending: inbound ? kept?.inbound ?? first : [],
            sourceEnded: kept?.inboundEnded ?? false)
        self.outbound = Flow(
            exists: outbound, pending: kept?.outbound ?? [], sourceEnded: kept?.outboundEnded ?? false)
        isPaused = server.hold != nil && farKind != .socket
        try? setNonBlocking(near.number)
        try? setNonBlocking(far.number)
        server.add(self)
        step()
    }

    /// What a channel had under way when its connection was taken away from it.
    struct Kept {
        var far: Handle
        /// Towards the process, and from it.
        var inbound: [UInt8]
        var outbound: [UInt8]
        var inboundEnded: Bool
        var outboundEnded: Bool
    }

    /// Lets go of the connection, for another one to take its place; nil when the process's side is closed already.
    func detach() -> Kept? {
        guard !isClosed else { return nil }
        leave()
        near.close()
        // Whoever comes next may type into a terminal again.
        return Kept(
            far: far, inbound: [UInt8](inbound.pending[inbound.taken...]),
            outbound: [UInt8](outbound.pending[outbound.taken...]),
            inboundEnded: farKind == .pipe && inbound.sourceEnded, outboundEnded: outbound.sourceEnded)
    }

    /// Stands still while its program is held: what is in the pipe stays there, and what becomes of the connection is
    /// not heard of.
    func pause() {
        guard farKind != .socket, !isClosed else { return }
        isPaused = true
        nearWatch.want([], near.number, server.loop, self)
        farWatch.want([], far.number, server.loop, self)
    }

    func resume() {
        guard isPaused, !isClosed else { return }
        isPaused = false
        step()
    }

    var farNumber: Int32? { isClosed ? nil : far.number }

    /// The process is gone: what lies in the pipe is delivered, and then the stream ends, whoever else holds it open.
    func processEnded() {
        guard !isClosed, outbound.exists else { return }
        drainBudget = 1 << 20
        step()
    }

    func handleEvent(token: UInt32, readiness: Readiness) { if !isClosed { step(nearIsReady: token == 0) } }

    func close() {
        guard !isClosed else { return }
        leave()
        near.close()
        far.close()
    }

    private func leave() {
        isClosed = true
        if let lingering { server.deadlines.cancel(lingering) }
        nearWatch.want([], near.number, server.loop, self)
        farWatch.want([], far.number, server.loop, self)
        server.remove(self)
    }

    /// - Parameter nearIsReady: false where the connection was not heard of, so that it need not be asked.
    private func step(nearIsReady: Bool = true) {
        if isPaused { return }
        if nearIsReady || inbound.isBlocked {
            if !move(&inbound, from: near, to: far, isOutbound: false) { return close() }
        }
        if !move(&outbound, from: far, to: near, isOutbound: true) { return close() }
        if inbound.sourceEnded, !inbound.isBlocked, !inbound.isFinished {
            inbound.isFinished = true
            if !inbound.discards {
                switch farKind {
                case .socket: shutDownSocket(far.number, 1)
                case .pipe: return close()
                case .terminal: break
                }
            }
        }
        if outbound.exists, outbound.sourceEnded, !outbound.isBlocked, !outbound.isFinished {
            outbound.isFinished = true
            shutDownSocket(near.number, 1)
            if farKind != .socket { inbound.discards = true }
            inbound.pending = inbound.discards ? [] : inbound.pending
            inbound.taken = inbound.discards ? 0 : inbound.taken
            linger()
        }
        if inbound.isFinished, outbound.isFinished || !outbound.exists { return close() }
        watch()
    }

    /// Over TCP, closing while the other side still sends would make it lose what it has not read yet; so it is given
    /// the time to close first.
    private func linger() {
        guard case .tcp = server.transport, farKind == .terminal else {
            if farKind != .socket { inbound.isFinished = true }
            return
        }
        guard lingering == nil else { return }
        lingering = server.deadlines.after(milliseconds: 10_000) { self.close() }
    }

    /// Moves what can be moved now, at most one buffer full. False when the receiver or the sender is broken.
    private func move(_ flow: inout Flow, from source: Handle, to sink: Handle, isOutbound: Bool) -> Bool {
        guard flow.exists, !flow.isFinished else { return true }
        do throws(LinuxError) {
            if flow.isBlocked, !(try drain(&flow, to: sink)) { return true }
            if flow.sourceEnded { return true }
            let count = try LinuxCalls.read(source.number, over: &server.scratch.bytes)
            if count == 0 {
                flow.sourceEnded = true
                return true
            }
            if isOutbound, let budget = drainBudget {
                drainBudget = budget - count
                if budget < count { flow.sourceEnded = true }
            }
            if flow.discards { return true }
            var taken = 0
            do throws(LinuxError) {
                taken = try LinuxCalls.write(sink.number, server.scratch.bytes[..<count])
            } catch {
                if error != .tryAgain { throw error }
            }
            if taken < count {
                flow.pending = [UInt8](server.scratch.bytes[taken..<count])
                flow.taken = 0
            } else if isOutbound, drainBudget != nil, !flow.sourceEnded {
                return move(&flow, from: source, to: sink, isOutbound: true)
            }
            return true
        } catch {
            if error == .tryAgain {
                // Nothing there now; from a process that has ended nothing will come.
                if isOutbound, drainBudget != nil { flow.sourceEnded = true }
                return true
            }
            // A terminal whose last user is gone reads as EIO.
            if isOutbound, farKind == .terminal, error == .inputOutput {
                flow.sourceEnded = true
                return true
            }
            return false
        }
    }

    /// Writes what is held. False while some of it is still not taken.
    private func drain(_ flow: inout Flow, to sink: Handle) throws(LinuxError) -> Bool {
        do throws(LinuxError) {
            flow.taken += try LinuxCalls.write(sink.number, flow.pending[flow.taken...])
        } catch {
            if error == .tryAgain { return false }
            throw error
        }
        if flow.isBlocked { return false }
        flow.pending = []
        flow.taken = 0
        return true
    }

    private func watch() {
        var nearWanted: Readiness = []
        var farWanted: Readiness = []
        if inbound.exists, !inbound.isFinished {
            if inbound.isBlocked { farWanted.insert(.writable) } else { nearWanted.insert(.readable) }
        }
        if outbound.exists, !outbound.isFinished {
            if outbound.isBlocked { nearWanted.insert(.writable) } else { farWanted.insert(.readable) }
        }
        nearWatch.want(nearWanted, near.number, server.loop, self, token: 0)
        farWatch.want(farWanted, far.number, server.loop, self, token: 1)
    }
}

/// Something that holds a connection open.
protocol ConnectionOwner: AnyObject {
    func close()
    /// While user programs are held.
    func pause()
    func resume()
}

extension ConnectionOwner {
    func pause() {}
    func resume() {}
}
