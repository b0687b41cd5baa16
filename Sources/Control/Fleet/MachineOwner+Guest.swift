import AgentClient
import AgentProtocol
import LinuxCalls

/// From the guest's boot to its program's start.
extension MachineOwner {
    /// A volume that is used for the first time may get many files.
    private static let configurePatienceSeconds: UInt32 = 600

    /// Waits for the agent's call and its greeting.
    func awaitAgent(
        _ listener: any SocketListener, _ monitor: any RunningMonitor, _ console: GuestConsole
    ) throws -> AgentConnection {
        let deadline = Deadline(afterMilliseconds: UInt64(launcher.patienceSeconds) * 1000)
        while true {
            var entries = [PollEntry(reading: monitor.exitDescriptor), PollEntry(reading: signals?.descriptor ?? -1)]
            entries += listener.descriptors.map { PollEntry(reading: $0) }
            guard wait(for: &entries, until: deadline) > 0 else {
                guard deadline.isOver else { continue }
                throw FleetError(
                    .agentSilent,
                    "the guest did not answer within \(launcher.patienceSeconds) seconds; is its kernel one that Swiftlet knows?\(console.tail)"
                )
            }
            try checkIsWanted()
            if entries[2...].contains(where: \.isReady), let connection = try listener.accept() {
                let socket = AgentSocket(connection)
                let bytes = try socket.readExactly(Opening.byteCount, until: deadline)
                guard let opening = try? Opening(decoding: bytes), case .control = opening.kind else { continue }
                return try AgentConnection(greetingOn: socket, until: deadline)
            }
            if entries[0].isReady { throw endedUnanswered(monitor, console) }
        }
    }

    /// - Throws: when somebody ends the machine before its program runs.
    func checkIsWanted() throws(FleetError) {
        while let next = signals?.next() {
            guard endsMachine(next) else { continue }
            let signal =
                switch next {
                case SignalWatcher.endNow: SignalNumber.kill
                case SignalWatcher.stop: SignalNumber.terminate
                default: next
                }
            throw FleetError(endedBy: signal)
        }
    }

    func endedUnanswered(_ monitor: any RunningMonitor, _ console: GuestConsole) -> FleetError {
        _ = monitor.waitUntilEnded(milliseconds: 2000)
        return FleetError(
            .monitorEnded, "the monitor ended before the guest answered (\(monitor.ending))\(console.tail)")
    }

    /// Waits until the guest is what its configuration says: what comes next needs that.
    func awaitConfigured(
        _ control: AgentConnection, _ monitor: any RunningMonitor
    ) throws(AgentClientError) {
        let patience = Duration.seconds(max(Self.configurePatienceSeconds, launcher.patienceSeconds))
        let deadline = Deadline(after: patience)
        while true {
            while let frame = try control.receivePending() {
                switch frame.message {
                case .configured: return
                case .failure(let failure): throw AgentClientError(failure)
                default: break
                }
            }
            var entries = [
                PollEntry(reading: control.socket.number), PollEntry(reading: monitor.exitDescriptor),
                PollEntry(reading: signals?.descriptor ?? -1),
            ]
            wait(for: &entries, until: deadline)
            while let signal = signals?.next() {
                guard endsMachine(signal) else { continue }
                throw AgentClientError(.interrupted, "ended before the program started", signal: SignalNumber.terminate)
            }
            if entries[0].isReady {
                guard try control.fill() else { throw AgentClientError(.gone, "the machine ended") }
            } else if entries[1].isReady {
                throw AgentClientError(.gone, "the machine ended")
            } else if deadline.isOver {
                throw AgentClientError(.silent, "the guest was not set up within \(patience)")
            }
        }
    }

    func guestConfiguration(filling unfilled: [VolumeAttachment]) throws(FleetError) -> Configuration {
        var configuration = Configuration()
        configuration.hostName = ByteString(specification.hostName ?? machine.record.name)
        configuration.root = RootFileSystem(
            source: ByteString(MonitorConfiguration.rootDevice), fileSystem: "erofs",
            verity: try specification.imageVerity?.forAgent())
        configuration.mounts = specification.mounts(filling: unfilled)
        configuration.interfaces = machine.record.guestInterfaces
        configuration.nameServers = machine.record.nameServers
        configuration.searchDomains = machine.record.searchDomains
        configuration.hostEntries = machine.record.hostEntries
        configuration.realTimeNanoseconds = Clock.realTime.nanoseconds()
        configuration.seed = Self.randomBytes(32)
        return configuration
    }

    func start() -> Start {
        var generator = SystemRandomNumberGenerator()
        let streams: Start.Streams =
            specification.hasTerminal
            ? .terminal(terminalSize() ?? TerminalSize(rows: 24, columns: 80))
            : .pipes(input: specification.isInteractive, output: true, error: true)
        return Start(
            arguments: specification.command.map { ByteString($0) },
            environment: specification.environment.map { ByteString($0) }, user: ByteString(specification.user),
            supplementaryGroups: specification.container.groups.map { ByteString($0) },
            workingDirectory: ByteString(specification.workingDirectory), streams: streams, streamOrigin: .agent,
            token: Token(first: generator.next(), second: generator.next()))
    }

    /// Lets the guest write to its disks what it has not, where there are any.
    func endGuest(_ control: AgentConnection, _ monitor: any RunningMonitor) {
        guard specification.allDisks.contains(where: { !$0.isReadOnly }) else { return }
        try? control.send(.powerOff(PowerOff(.powerOff, graceMilliseconds: 1000)))
        _ = monitor.waitUntilEnded(milliseconds: MachineRemote.powerOffMilliseconds(launcher.isEmulated))
    }
}
