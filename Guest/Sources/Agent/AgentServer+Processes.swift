import AgentProtocol
import FileTransfer
import LinuxCalls

extension AgentServer {
    /// Starts a command. Its streams are dialled before it runs, so that its first output finds them on their way.
    func start(_ start: Start, number: UInt32, _ connection: ControlConnection) throws(Failure) -> Int32 {
        guard processes.count < Self.maximumProcesses, powerOff == nil else {
            throw Failure(.tooMany, text: "no more processes are taken")
        }
        guard !processes.contains(where: { $0.connection === connection && $0.number == number }) else {
            throw Failure(.duplicateProcess, text: "a process with the number " + ByteString(number) + " runs already")
        }
        let process = GuestProcess(start, number: number, connection: connection)
        var command: ChildCommand
        do throws(Failure) {
            command = try system.command(for: start)
        } catch {
            dropWaitingStreams(number, start.token)
            throw error
        }
        let childEnds: [Handle]
        do throws(LinuxError) {
            childEnds = try prepareStreams(start, process, &command)
        } catch {
            process.dropStreams()
            throw Failure(.internal, error, "the streams of the command could not be made")
        }
        processes.append(process)
        if start.streamOrigin == .agent {
            for stream in process.streams { dial(stream.which, of: process) }
        }
        do throws(ChildFailure) {
            process.processIdentifier = try Children.start(command)
        } catch {
            forget(process)
            dropWaitingStreams(number, start.token)
            throw Self.failure(error, start)
        }
        for handle in childEnds { handle.close() }
        attachWaitingStreams()
        activityChanged()
        return process.processIdentifier
    }

    /// Makes the two sides of each stream; returns the command's, to be closed when it has them.
    private func prepareStreams(
        _ start: Start, _ process: GuestProcess, _ command: inout ChildCommand
    ) throws(LinuxError) -> [Handle] {
        switch start.streams {
        case .terminal(let size):
            let pair = try TerminalPair(multiplexer: system.terminalMultiplexer)
            try? WindowSize(size).apply(to: pair.controller.number)
            if let identity = command.identity {
                try? FileTree.setOwner(in: pair.terminal.number, user: identity.userID, group: identity.groupID)
            }
            let terminal = Handle(pair.terminal)
            process.streams = [GuestProcess.Stream(.terminal, Handle(pair.controller))]
            command.standardDescriptors = (terminal.number, terminal.number, terminal.number)
            command.controlsTerminal = true
            return [terminal]
        case .pipes(let input, let output, let error):
            var ends: [Handle] = []
            var numbers: [Int32] = []
            for (which, isAttached) in [
                (ProcessStream.standardInput, input), (.standardOutput, output), (.standardError, error),
            ] {
                if isAttached {
                    let pair = try PipePair()
                    let reading = Handle(pair.reading)
                    let writing = Handle(pair.writing)
                    let (own, its) = which == .standardInput ? (writing, reading) : (reading, writing)
                    process.streams.append(GuestProcess.Stream(which, own))
                    ends.append(its)
                    numbers.append(its.number)
                } else {
                    let null = Handle(try FileTree.open(ByteString("/dev/null").bytes, .readWrite))
                    ends.append(null)
                    numbers.append(null.number)
                }
            }
            command.standardDescriptors = (numbers[0], numbers[1], numbers[2])
            return ends
        }
    }

    func dial(_ which: ProcessStream, of process: GuestProcess) {
        let opening = Opening(.stream(which, process: process.number, token: process.token))
        dial(opening) { handle in
            guard let handle else {
                // Nobody takes this stream: its other end sees that at its next use.
                if let stream = process.stream(which) {
                    stream.handle?.close()
                    stream.handle = nil
                }
                return self.finishStreams(of: process)
            }
            if !self.attach(handle, opening) { handle.close() }
        }
    }

    /// Takes the ends of all children that have ended: the commands, and whatever lost its parent.
    func reap() {
        // The kernel has told of it before a command that ends for it could know.
        system.verifiedDisk?.drain()
        while true {
            do throws(LinuxError) {
                guard let ended = try Children.reap() else { return }
                if hooks?.ended(ended.process) == true { continue }
                if let process = processes.first(where: { $0.processIdentifier == ended.process && !$0.hasEnded }) {
                    self.ended(process, ended.end)
                }
            } catch {
                // No children at all are left.
                if powerOff != nil { finishPowerOff() }
                return
            }
        }
    }

    private func ended(_ process: GuestProcess, _ end: ChildEnd) {
        process.hasEnded = true
        for stream in process.streams { stream.channel?.processEnded() }
        let status: ExitStatus
        switch end {
        case .exited(let number): status = .exited(number)
        case .signalled(let number): status = .signalled(number)
        }
        process.end = status
        process.connection?.send(.exited(status), id: process.number)
        finishStreams(of: process)
        forgetLater(process)
    }

    private func forgetLater(_ process: GuestProcess) {
        guard processes.contains(where: { $0 === process }) else { return }
        deadlines.after(milliseconds: 30_000) {
            if self.hold == nil { self.forget(process) } else { self.forgetLater(process) }
        }
    }

    /// Forgets a process that has ended once no stream of it waits for its connection.
    func finishStreams(of process: GuestProcess) {
        // In a clone somebody may yet ask for what it has left.
        guard process.hasEnded, hold == nil else { return }
        if let input = process.stream(.standardInput) {
            input.handle?.close()
            input.handle = nil
            input.channel?.close()
        }
        if process.streams.allSatisfy({ $0.handle == nil }) {
            processes.removeAll { $0 === process }
            activityChanged()
        }
    }

    private func forget(_ process: GuestProcess) {
        for stream in process.streams {
            stream.handle?.close()
            stream.handle = nil
        }
        process.hasEnded = true
        processes.removeAll { $0 === process }
        activityChanged()
    }

    /// What a person is told about a command that did not come to run.
    private static func failure(_ failure: ChildFailure, _ start: Start) -> Failure {
        let name = start.arguments[0]
        let quoted = "\"" + name + "\""
        switch (failure.step, failure.error) {
        case (.execution, .noEntry), (.execution, .notADirectory):
            return name.bytes.contains(UInt8(ascii: "/"))
                ? Failure(.commandNotFound, failure.error, quoted + " cannot be run")
                : Failure(
                    .commandNotFound, systemError: 2,
                    text: quoted + " was not found in any directory of PATH; give its full path, or set PATH")
        case (.execution, .notAProgram):
            return Failure(
                .commandNotExecutable, systemError: 8,
                text: quoted + " is neither a program for this processor nor a script that begins with #!")
        case (.execution, _): return Failure(.commandNotExecutable, failure.error, quoted + " cannot be run")
        case (.workingDirectory, _):
            return Failure(
                .workingDirectory, failure.error, "working directory \"" + start.workingDirectory + "\" cannot be used")
        case (.identity, _):
            return Failure(.unknownUser, failure.error, "user \"" + start.user + "\" cannot be taken on")
        default: return Failure(.internal, failure.error, "the command could not be started")
        }
    }
}
