import CLinux
import LinuxCalls

/// The life of connections: how they begin, change and end.
extension VsockDevice {
    private static let timerNanoseconds: UInt64 = 250_000_000
    private static let maximumAccepts = 16

    // MARK: Host programs

    func startAccepting() {
        guard listenerRegistration == nil, resetWait == nil, service != nil else { return }
        listenerRegistration = try? loop.add(
            backend.listener.number, .readable, handler: self, token: Token.listener)
    }

    func stopAccepting() {
        if let registration = listenerRegistration.take() { loop.remove(registration, backend.listener.number) }
    }

    /// Takes host programs' connections; what they want is in their first line.
    func acceptHostPrograms() {
        for _ in 0..<Self.maximumAccepts {
            let socket: FileDescriptor
            do throws(LinuxError) {
                guard let next = try UnixSocket.accept(backend.listener.number) else { return }
                socket = next
            } catch {
                // No descriptors left, most likely: the timer looks again.
                stopAccepting()
                return armTimer()
            }
            // Without a place it is closed at once.
            guard connections.hasRoom,
                let index = connections.insert(
                    VsockConnection(
                        phase: .handshake, hostPort: 0, guestPort: 0, socket: socket,
                        bufferBytes: connections.nextBufferBytes))
            else {
                metrics.connectionsRefused.add()
                continue
            }
            setDeadline(index, handshakeNanoseconds)
            if watchSocket(index) { readHandshake(index) } else { metrics.connectionsRefused.add() }
        }
    }

    /// Watches a connection's socket; removes the connection when that cannot be.
    func watchSocket(_ index: Int) -> Bool {
        let socket = connections[index].socketNumber
        do throws(LinuxError) {
            connections[index].registration = try loop.add(
                socket, [.readable, .peerClosed, .edgeTriggered], handler: self, token: UInt32(index))
            return true
        } catch {
            close(index)
            return false
        }
    }

    /// Watches for room to write, or stops that.
    func watchForRoom(_ index: Int, _ isWanted: Bool) {
        guard connections[index].isWatchedForRoom != isWanted, let registration = connections[index].registration
        else { return }
        connections[index].isWatchedForRoom = isWanted
        var interest: Readiness = [.readable, .peerClosed, .edgeTriggered]
        if isWanted { interest.insert(.writable) }
        try? loop.modify(registration, connections[index].socketNumber, interest)
    }

    /// News of a connection's socket.
    func handleSocket(_ index: Int, _ readiness: Readiness) {
        if readiness.contains(.hangUp) || readiness.contains(.error) { connections[index].isHungUp = true }
        switch connections[index].phase {
        case .handshake: return readHandshake(index)
        case .requested:
            // The program has lost interest before the guest answered.
            if connections[index].isHungUp { abort(index) }
            return
        case .lingering:
            if connections[index].isHungUp { return close(index) }
        case .closing: return
        case .established:
            connections[index].isReadable = true
            // An end seen before turned out to be that of both directions.
            if connections[index].isHungUp && connections[index].hostShutdown.contains(.send) {
                hostEnded(index, isHungUp: true)
            }
        }
        if readiness.contains(.writable) { sendWaiting(index) } else { connections.makeReady(index) }
    }

    /// Reads the line `CONNECT port` without taking what follows it, and asks the guest.
    private func readHandshake(_ index: Int) {
        let socket = connections[index].socketNumber
        var line = InlineArray<32, UInt8>(repeating: 0)
        var judgement = VsockHandshake.Judgement.malformed
        do throws(LinuxError) {
            var span = line.mutableSpan
            let count = unsafe try span.withUnsafeMutableBytes { bytes throws(LinuxError) in
                // SAFETY: the line outlives the call.
                unsafe try StreamSocket.peek(socket, into: bytes)
            }
            // Nothing at all is the end of its sending.
            if count > 0 { judgement = VsockHandshake.judge(line.span.extracting(0..<count)) }
            if case .port(_, let lineBytes) = judgement {
                var span = line.mutableSpan
                _ = unsafe try span.withUnsafeMutableBytes { bytes throws(LinuxError) in
                    // SAFETY: as above; the line is not longer than the buffer.
                    unsafe try read(socket, into: UnsafeMutableRawBufferPointer(rebasing: bytes[..<lineBytes]))
                }
            }
        } catch { judgement = error.number == EAGAIN && !connections[index].isHungUp ? .incomplete : .malformed }
        switch judgement {
        case .incomplete: return
        case .malformed:
            metrics.connectionsRefused.add()
            close(index)
        case .port(let port, _):
            connections[index].phase = .requested
            connections[index].guestPort = port
            connections[index].hostPort = freeHostPort(port)
            connections.link(index)
            connections[index].debts = .request
            setDeadline(index, requestNanoseconds)
            connections.makeReady(index)
            deliver()
        }
    }

    /// A port for a host program, such that the pair is not in use.
    private func freeHostPort(_ guestPort: UInt32) -> UInt32 {
        while true {
            let port = nextHostPort
            nextHostPort = port < 0xffff_fffe ? port + 1 : Self.firstHostPort
            if connections.find(hostPort: port, guestPort: guestPort) == nil { return port }
        }
    }

    // MARK: The guest's answers

    /// The guest has accepted: the program is told and data may flow.
    func guestAccepted(_ index: Int) {
        guard connections[index].phase == .requested else {
            metrics.malformedPackets.add()
            return abort(index)
        }
        clearDeadline(index)
        connections[index].phase = .established
        connections[index].isReadable = true
        let answer = VsockHandshake.acceptance(hostPort: connections[index].hostPort)
        // SAFETY: the array outlives the call.
        let sent = unsafe answer.withUnsafeBytes { bytes in
            unsafe try? StreamSocket.send(connections[index].socketNumber, bytes)
        }
        guard sent == answer.count else { return abort(index) }
        metrics.connectionsEstablished.add()
        connections.makeReady(index)
    }

    /// The guest refuses, or ends at once.
    func guestReset(_ index: Int) {
        switch connections[index].phase {
        case .requested:
            metrics.connectionsRefused.add()
            close(index)
        case .established: linger(index)
        case .handshake, .lingering, .closing: close(index)
        }
    }

    /// The guest will not send any more, or not receive, or neither.
    func guestShutDown(_ index: Int, _ directions: VsockShutdown) {
        switch connections[index].phase {
        case .established: break
        case .closing:
            if directions == .both { abort(index) }
            return
        case .handshake, .requested, .lingering:
            metrics.malformedPackets.add()
            return abort(index)
        }
        connections[index].guestShutdown.formUnion(directions)
        if connections[index].guestShutdown == .both {
            // It waits for a reset, and it has every right to use its port again.
            oweReset(reset(index))
            return linger(index)
        }
        if directions.contains(.receive) { shutDownSocket(connections[index].socketNumber, 0) }
        if directions.contains(.send) && connections[index].waiting.isEmpty {
            shutDownSocket(connections[index].socketNumber, 1)
        }
    }

    // MARK: Ends

    /// The host program will not send any more; after a hang-up it does not receive either.
    func hostEnded(_ index: Int, isHungUp: Bool) {
        let now: VsockShutdown = isHungUp ? .both : .send
        if isHungUp {
            connections[index].waiting.removeAll()
            watchForRoom(index, false)
        }
        guard !connections[index].hostShutdown.isSuperset(of: now) else { return }
        connections[index].hostShutdown.formUnion(now)
        connections[index].debts.insert(.shutdown)
        connections.makeReady(index)
    }

    /// The guest has been told that the host program is gone; its reset ends the connection.
    func awaitGuestReset(_ index: Int) {
        connections[index].phase = .closing
        closeSocket(index)
        setDeadline(index, closingNanoseconds)
    }

    /// The guest knows the connection no more. What it sent is still brought to the host program.
    private func linger(_ index: Int) {
        if connections[index].waiting.isEmpty || connections[index].isHungUp { return close(index) }
        connections[index].phase = .lingering
        connections[index].debts = []
        connections.unlink(index)
    }

    /// Sends what waits for the host program, as far as there is room.
    private func sendWaiting(_ index: Int) {
        let socket = connections[index].socketNumber
        do throws(LinuxError) {
            let sent = try connections[index].waiting.send(to: socket)
            connections[index].credit.forward(UInt32(truncatingIfNeeded: sent))
            metrics.bytesToHost.add(UInt64(sent))
        } catch {
            if connections[index].phase == .lingering { return close(index) }
            return hostStoppedReceiving(index, 0)
        }
        if connections[index].waiting.isEmpty {
            if connections[index].phase == .lingering { return close(index) }
            watchForRoom(index, false)
            if connections[index].guestShutdown.contains(.send) { shutDownSocket(socket, 1) }
        }
        noteForwarded(index)
        connections.makeReady(index)
    }

    /// Ends a connection at once and tells the guest so.
    func abort(_ index: Int) {
        if connections[index].phase != .lingering && connections[index].phase != .handshake {
            oweReset(reset(index))
        }
        if connections.contains(index) { close(index) }
    }

    private func reset(_ index: Int) -> VsockReset {
        VsockReset(
            hostCID: Self.hostCID, hostPort: connections[index].hostPort, guestPort: connections[index].guestPort,
            type: VsockHeader.streamType)
    }

    /// Forgets a connection and closes its socket.
    func close(_ index: Int) {
        clearDeadline(index)
        closeSocket(index)
        _ = connections.remove(index)
    }

    private func closeSocket(_ index: Int) {
        if let registration = connections[index].registration.take() {
            loop.remove(registration, connections[index].socketNumber)
        }
        connections[index].waiting.removeAll()
        connections[index].isWatchedForRoom = false
        connections[index].socket = nil
    }

    // MARK: Deadlines

    private func setDeadline(_ index: Int, _ nanoseconds: UInt64) {
        if connections[index].deadlineNanoseconds == 0 { timedCount += 1 }
        connections[index].deadlineNanoseconds = Clock.monotonic.nanoseconds() &+ nanoseconds
        armTimer()
    }

    private func clearDeadline(_ index: Int) {
        if connections[index].deadlineNanoseconds == 0 { return }
        connections[index].deadlineNanoseconds = 0
        timedCount -= 1
    }

    func armTimer() {
        if timerRegistration == nil {
            timerRegistration = try? loop.add(
                timer.descriptor.number, .readable, handler: self, token: Token.timer)
        }
        if isTimerArmed { return }
        isTimerArmed = true
        try? timer.arm(firstNanoseconds: Self.timerNanoseconds)
    }

    /// Ends what has waited too long, and looks again soon if anything still waits.
    func giveUpExpired() {
        isTimerArmed = false
        countResetWait()
        let now = Clock.monotonic.nanoseconds()
        for index in 0..<connections.endIndex where connections.contains(index) {
            let deadline = connections[index].deadlineNanoseconds
            if deadline == 0 || deadline > now { continue }
            metrics.timeouts.add()
            abort(index)
        }
        if service != nil { startAccepting() }
        if timedCount > 0 || (service != nil && listenerRegistration == nil) { armTimer() }
    }
}
