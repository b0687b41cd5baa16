import AgentClient
import AgentProtocol
import LinuxCalls

extension MachineRemote {
    /// How long a guest may take to read its settings, and its command to apply them.
    private static let applySeconds = 60
    private static let requestID: UInt32 = 1
    /// What is shown, at most, of what the command said.
    private static let saidBytes = 4000

    /// Has the guest read its settings anew and run its appliance's command for that.
    /// - Throws: `.settingsNotApplied` with what the command said, or why the guest could not; its files are those of the
    ///   floppy then all the same, unless it could not read it.
    public func applySettings() throws(FleetError) {
        let output = CollectedOutput(mostBytes: Self.saidBytes)
        let end: SessionEnd
        do {
            let control = try connect()
            // Whether a generation still counts is a matter of the time.
            try control.send(.clock(realTimeNanoseconds: Clock.realTime.nanoseconds()))
            try control.send(.settings, id: Self.requestID)
            let deadline = Deadline(after: .seconds(Self.applySeconds))
            _ = try control.answer(to: Self.requestID, until: deadline)
            guard let apply = record.specification.appliance?.apply, !apply.isEmpty else { return }
            let session = try ProcessSession(start(apply), id: Self.requestID, over: control, output: output)
            session.endpoint = try endpoint()
            session.timeLimit = .seconds(Self.applySeconds)
            end = try session.run()
        } catch let error as FleetError {
            throw error
        } catch {
            throw FleetError(.settingsNotApplied, "the machine \"\(record.name)\" has not taken its settings: \(error)")
        }
        if case .exited(let status) = end, status.shellStatus == 0 { return }
        let said = (output.bytes(of: .standardError) + output.bytes(of: .standardOutput)).suffix(Self.saidBytes)
        let text = String(decoding: said, as: UTF8.self)
        let how =
            switch end {
            case .exited(let status): "ended with \(status.shellStatus)"
            case .timedOut: "took longer than \(Self.applySeconds) s"
            case .ended, .machineEnded: "was ended"
            }
        throw FleetError(
            .settingsNotApplied,
            "the machine \"\(record.name)\" does not take these settings: its command for that \(how)"
                + (text.isEmpty ? "" : ":\n" + text.split(separator: "\n").map { "    \($0)" }.joined(separator: "\n")))
    }

    private func start(_ command: [String]) -> Start {
        let specification = record.specification
        var generator = SystemRandomNumberGenerator()
        return Start(
            arguments: command.map { ByteString($0) }, environment: specification.environment.map { ByteString($0) },
            user: ByteString(specification.user), workingDirectory: ByteString(specification.workingDirectory),
            streams: .pipes(input: false, output: true, error: true), streamOrigin: .host,
            token: Token(first: generator.next(), second: generator.next()))
    }
}

extension MachineStore {
    /// The machines that run with these settings.
    public func machines(withSettings name: String) -> [MachineRecord] {
        list().filter { $0.specification.settingsName == name && !$0.state.isOver }
    }
}
