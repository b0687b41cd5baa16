import AgentProtocol
import LinuxCalls

extension AgentServer {
    /// Serves one control connection until it ends; its commands then end too, unless they were to outlive it.
    func serveControl(_ handle: Handle) {
        let connection = ControlConnection(self, handle)
        connection.onFrame = { frame in self.answer(frame, connection) }
        connection.onClose = { self.controlEnded(connection) }
        var capabilities: Hello.Capabilities = []
        if case .awaited = configuration { capabilities.insert(.awaitsConfiguration) }
        if case .host = role { capabilities.insert(.isHost) }
        connection.send(
            .hello(
                Hello(
                    agentVersion: Self.version, kernelRelease: ByteString(SystemControl.kernelRelease()),
                    capabilities: capabilities, uptimeNanoseconds: Clock.bootTime.nanoseconds())))
        connection.begin()
    }

    private func answer(_ frame: Frame<HostMessage>, _ connection: ControlConnection) {
        do throws(Failure) {
            switch frame.message {
            case .configure(let wanted):
                guard case .awaited = configuration else {
                    throw Failure(.unexpectedMessage, text: "this guest is configured already")
                }
                configuration = .failed
                // Whether that succeeds or not: what the disk did to it is said first.
                defer { watchDisk(connection) }
                try system.apply(wanted)
                configuration = .done
                watchSettings(connection)
                idleSeconds = wanted.idleSeconds
                connection.send(.configured, id: frame.id)
            case .start(let start):
                if case .failed = configuration {
                    throw Failure(.unexpectedMessage, text: "the configuration did not succeed")
                }
                if let hold, !hold.hasIdentity {
                    hold.starts.append((start, frame.id, connection))
                } else {
                    try begin(start, frame.id, connection)
                }
            case .signal(let signal):
                let process = try process(frame.id, of: connection)
                let target = signal.reachesGroup ? -process.processIdentifier : process.processIdentifier
                try? Children.signal(target, Int32(signal.number))
            case .resize(let size):
                guard let terminal = try process(frame.id, of: connection).terminal else {
                    throw Failure(.notATerminal, text: "the process has no terminal")
                }
                try? WindowSize(size).apply(to: terminal)
            case .status(let path): connection.send(.fileStatus(try system.status(path)), id: frame.id)
            case .powerOff(let request): begin(request)
            case .ping:
                connection.send(
                    .pong(
                        Load(
                            processes: UInt32(processes.count), connections: UInt32(connectionCount),
                            uptimeNanoseconds: Clock.bootTime.nanoseconds(),
                            memoryBytes: GuestSystem.memory("MemTotal:"),
                            availableBytes: GuestSystem.memory("MemAvailable:"))), id: frame.id)
            case .clock(let time): system.correctClock(time)
            case .settings:
                guard let settings = system.settings else {
                    throw Failure(.settings, text: "this machine has no settings")
                }
                try settings.refresh()
                connection.send(.configured, id: frame.id)
            case .hold(let patience): try holdPrograms(patience, frame.id, connection)
            case .release: try release(frame.id, connection)
            case .identity(let identity): try become(identity, frame.id, connection)
            case .adopt(let adoption): try adopt(adoption, frame.id, connection)
            case .processes(let last): connection.send(.processes(ProcessList.running(after: last)), id: frame.id)
            case .attach(let attachment):
                connection.send(.attached(name: try system.attach(attachment)), id: frame.id)
            case .detach(let detachment):
                try system.detach(detachment)
                connection.send(.configured, id: frame.id)
            case .relay:
                throw Failure(.unexpectedMessage, text: "a relay needs a connection of its own kind")
            }
        } catch {
            connection.send(.failure(error), id: frame.id)
        }
    }

    func begin(_ start: Start, _ id: UInt32, _ connection: ControlConnection) throws(Failure) {
        let identifier = try self.start(start, number: id, connection)
        connection.send(.started(processIdentifier: UInt32(bitPattern: identifier)), id: id)
    }

    /// Unasked news go to whoever configured the machine, or gave it another identity.
    func tellNews(to connection: ControlConnection) {
        system.verifiedDisk?.listener = connection
        system.settingsRequests?.listener = connection
    }

    private func watchDisk(_ connection: ControlConnection) {
        guard let disk = system.verifiedDisk else { return }
        disk.listener = connection
        disk.drain()
        _ = try? loop.add(disk.descriptor, .readable, handler: disk, token: 0)
    }

    private func watchSettings(_ connection: ControlConnection) {
        guard let settings = system.settings,
            // A kernel without inotify leaves the asking to the host.
            let requests = try? SettingsRequests(settings.parent, connection)
        else { return }
        system.settingsRequests = requests
        _ = try? loop.add(requests.descriptor, .readable, handler: requests, token: 0)
    }

    private func process(_ number: UInt32, of connection: ControlConnection) throws(Failure) -> GuestProcess {
        guard
            let process = processes.first(where: { $0.connection === connection && $0.number == number && !$0.hasEnded }
            )
        else { throw Failure(.unknownProcess, text: "no process has the number " + ByteString(number)) }
        return process
    }

    /// Whoever asked for these commands is gone.
    private func controlEnded(_ connection: ControlConnection) {
        endHold(of: connection)
        for process in processes where process.connection === connection {
            process.connection = nil
            // Whoever is held may be adopted yet.
            if hold == nil { hangUp(process) }
        }
    }

    func hangUp(_ process: GuestProcess) {
        guard !process.outlivesConnection, !process.hasEnded else { return }
        let group = -process.processIdentifier
        try? Children.signal(group, SignalNumber.hangUp)
        try? Children.signal(group, SignalNumber.proceed)
        deadlines.after(milliseconds: 2000) {
            if !process.hasEnded, process.connection == nil { try? Children.signal(group, SignalNumber.kill) }
        }
    }
}

extension WindowSize {
    init(_ size: TerminalSize) {
        self.init(
            rows: size.rows, columns: size.columns, widthPixels: size.widthPixels, heightPixels: size.heightPixels)
    }
}
