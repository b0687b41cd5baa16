import AgentProtocol
import LinuxCalls

/// Holding user programs for a snapshot, and what a clone does with those that it was made with.
extension AgentServer {
    /// Answered when all stand still.
    func holdPrograms(
        _ patienceMilliseconds: UInt32, _ id: UInt32, _ connection: ControlConnection
    ) throws(Failure) {
        guard hold == nil else { throw Failure(.unexpectedMessage, text: "the programs are held already") }
        guard powerOff == nil else { throw Failure(.unexpectedMessage, text: "the machine is being switched off") }
        let programs: any StoppedPrograms
        if let frozen = FrozenPrograms(in: controlGroup) {
            programs = frozen
        } else {
            programs = SignalledPrograms(sessions: role == .tool ? processes.map { $0.processIdentifier } : nil)
        }
        let hold = Hold(programs, connection, id: id, patienceMilliseconds: patienceMilliseconds)
        self.hold = hold
        pauseStreams()
        advance(hold)
    }

    private func advance(_ hold: Hold) {
        guard self.hold === hold, let connection = hold.connection else { return }
        if let count = hold.programs.proceed() {
            return connection.send(.held(processes: UInt32(truncatingIfNeeded: count)), id: hold.id)
        }
        guard Clock.monotonic.nanoseconds() < hold.deadline else {
            letGo(hold)
            return connection.send(
                .failure(Failure(.notStopped, text: "some programs did not stop in time; all go on")), id: hold.id)
        }
        deadlines.after(milliseconds: 1) { self.advance(hold) }
    }

    func release(_ id: UInt32, _ connection: ControlConnection) throws(Failure) {
        guard let hold else { throw Failure(.unexpectedMessage, text: "no program is held") }
        if hooks != nil {
            hold.awaitedRelease = (id, connection)
            return
        }
        guard hold.hasIdentity || !hold.isRestored else {
            throw Failure(.unexpectedMessage, text: "this machine is a restored one: it needs an identity first")
        }
        letGo(hold)
        connection.send(.configured, id: id)
    }

    /// The connection that held the programs has ended: with whoever held it, who then wants nothing more; or with the
    /// transport, and this is a copy of the machine, whose host has not spoken yet.
    func endHold(of connection: ControlConnection) {
        guard let hold, hold.connection === connection else { return }
        hold.connection = nil
        if connection.wasReset { hold.wasReset = true }
        if !hold.isRestored { letGo(hold) }
    }

    /// Everything goes on, but for programs that belong to nobody any more.
    func letGo(_ hold: Hold) {
        self.hold = nil
        for process in processes where process.connection == nil { hangUp(process) }
        hold.programs.letGo()
        resumeStreams()
        for process in processes where process.hasEnded { finishStreams(of: process) }
        for each in hold.starts where each.connection.isOpen {
            do throws(Failure) { try begin(each.start, each.id, each.connection) } catch {
                each.connection.send(.failure(error), id: each.id)
            }
        }
    }

    // MARK: a clone

    /// Answered when the clone's own programs have heard of it, too.
    func become(_ identity: Identity, _ id: UInt32, _ connection: ControlConnection) throws(Failure) {
        guard hooks == nil else { throw Failure(.unexpectedMessage, text: "another identity is being taken on") }
        // They were asked for in the machine that this one is a copy of.
        hold?.starts = []
        try system.become(identity)
        tellNews(to: connection)
        let hooks = CloneHooks(self, identity) {
            self.hooks = nil
            self.hold?.hasIdentity = true
            connection.send(.configured, id: id)
            guard let hold = self.hold, let (id, connection) = hold.awaitedRelease else { return }
            self.letGo(hold)
            connection.send(.configured, id: id)
        }
        self.hooks = hooks
        hooks.runNext()
    }

    /// Gives a process that runs already to another connection, with what lies in its pipes.
    func adopt(_ adoption: Adoption, _ number: UInt32, _ connection: ControlConnection) throws(Failure) {
        let others = processes.filter { $0.number == number && $0.connection !== connection }
        // Commands of several connections may have the same number: the one that was started first.
        guard let process = others.first else {
            throw Failure(.unknownProcess, text: "no process has the number " + ByteString(number))
        }
        guard hold != nil || process.connection == nil else {
            throw Failure(.unexpectedMessage, text: "the process belongs to another connection")
        }
        let wanted = adoption.streams.attached
        let has = process.streams.map { $0.which }
        guard wanted.allSatisfy({ has.contains($0) }),
            has.allSatisfy({ $0 == .standardInput || wanted.contains($0) })
        else {
            throw Failure(
                .unexpectedMessage, text: "the process was started with other streams than those that are to be taken")
        }
        process.connection = connection
        process.token = adoption.token
        process.wasAdopted = true
        for stream in process.streams {
            stream.reclaim()
            if wanted.contains(stream.which) { continue }
            stream.handle?.close()
            stream.handle = nil
        }
        if case .terminal(let size) = adoption.streams, let terminal = process.terminal {
            try? WindowSize(size).apply(to: terminal)
        }
        connection.send(.started(processIdentifier: UInt32(bitPattern: process.processIdentifier)), id: number)
        if let end = process.end { connection.send(.exited(end), id: number) }
        if adoption.streamOrigin == .agent {
            for which in wanted { dial(which, of: process) }
        }
        attachWaitingStreams()
    }
}
