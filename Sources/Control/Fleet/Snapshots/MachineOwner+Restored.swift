import AgentClient
import AgentProtocol
import Archives
import LinuxCalls

/// A machine that goes on from a snapshot in the place of a boot.
extension MachineOwner {
    /// Each hook in the guest may take 5 seconds.
    private static let identityMilliseconds: UInt64 = 120_000
    /// Between two looks at whether anybody still waits. In the emulated host each attempt costs as much as an answer.
    private var attemptMilliseconds: UInt64 { launcher.isEmulated ? 5000 : 500 }

    /// Over as soon as there is a signal to look at.
    private func untilSignal(_ deadline: Deadline) -> Deadline { deadline.orReadable(signals?.descriptor ?? -1) }

    /// Calls the agent, whose kernel has ended every connection that it had.
    func awaitRestored(
        _ endpoint: any AgentEndpoint, _ monitor: any RunningMonitor, _ console: GuestConsole
    ) throws -> AgentConnection {
        let deadline = Deadline(afterMilliseconds: UInt64(launcher.patienceSeconds) * 1000)
        while true {
            try checkIsWanted()
            if waitUntilReadable(monitor.exitDescriptor, until: Deadline(afterMilliseconds: 0)) {
                throw endedUnanswered(monitor, console)
            }
            do throws(AgentClientError) {
                let attempt = untilSignal(Deadline(afterMilliseconds: attemptMilliseconds).earlier(deadline))
                return try AgentConnection.toRestored(endpoint, until: attempt)
            } catch {
                guard error.isPassing else { throw error }
                guard !deadline.isOver else {
                    throw FleetError(
                        .agentSilent,
                        "the restored guest did not answer within \(launcher.patienceSeconds) seconds (\(error.message))\(console.tail)"
                    )
                }
            }
        }
    }

    /// Makes the guest what it is from now on, and waits until it is that.
    func identify(_ point: RestorePoint, over control: AgentConnection) throws {
        let deadline = Deadline(afterMilliseconds: Self.identityMilliseconds)
        try control.sendIdentity(identity(for: point))
        while true {
            do throws(AgentClientError) { return try control.awaitConfigured(until: untilSignal(deadline)) } catch {
                guard error.code == .silent, !deadline.isOver else { throw error }
                try checkIsWanted()
            }
        }
    }

    /// What the guest is from now on. A machine that was suspended is itself, at another time.
    private func identity(for point: RestorePoint) -> Identity {
        var identity = Identity()
        identity.realTimeNanoseconds = Clock.realTime.nanoseconds()
        identity.seed = Self.randomBytes(64)
        guard point.isClone else { return identity }
        let record = machine.record
        identity.hostName = ByteString(specification.hostName ?? record.name)
        identity.machineID = record.machineNumber
        identity.generation = Self.randomBytes(Identity.numberBytes)
        identity.interfaces = record.guestInterfacesOfClone + record.attachedInterfacesOfClone
        identity.nameServers = record.nameServers
        identity.searchDomains = record.searchDomains
        identity.hostEntries = record.hostEntries
        return identity
    }

    static func randomBytes(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }

    /// The program's session: with the one that runs already, or with one that is started.
    func session(for point: RestorePoint?, over control: AgentConnection) throws(AgentClientError) -> ProcessSession {
        let start = start()
        let session: ProcessSession
        if let point, point.runsProgram {
            let adoption = Adoption(streams: start.streams, streamOrigin: start.streamOrigin, token: start.token)
            session = try ProcessSession(adopting: adoption, id: Self.processID, over: control, output: output)
        } else {
            session = try ProcessSession(start, id: Self.processID, over: control, output: output)
        }
        session.releasesPrograms = point != nil
        return session
    }
}

extension MachineRecord {
    /// What systemd and D-Bus call a machine's id: of this machine alone, and the same whenever it begins.
    var machineNumber: [UInt8] { number("machine id", Identity.numberBytes) }

    /// The guest's vsock number. Source: linux/vm_sockets.h; 0 to 2 and the highest mean others.
    var contextIdentifier: UInt32 {
        let drawn = number("context identifier", 4).reduce(0) { $0 << 8 | UInt32($1) }
        return 3 + drawn % (UInt32.max - 3)
    }

    /// Of the machine's id, so that none needs to be kept.
    private func number(_ purpose: String, _ count: Int) -> [UInt8] {
        Array(SHA256.digest(of: Array("\(purpose) \(id)".utf8)).bytes.prefix(count))
    }

    /// All of them, with their hardware addresses: the guest's driver has read the original's.
    var guestInterfacesOfClone: [Interface] {
        let configured = guestInterfaces
        return interfaces.compactMap { assigned in
            guard assigned.hostDevice != nil else { return nil }
            let place = ByteString(assigned.place)
            var interface = configured.first { $0.name == place } ?? Interface(name: place)
            interface.hardwareAddress = assigned.hardwareAddressBytes
            return interface
        }
    }
}

extension AssignedInterface {
    var hardwareAddressBytes: [UInt8] { hardwareAddress.split(separator: ":").compactMap { UInt8($0, radix: 16) } }
}
