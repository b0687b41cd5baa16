public import AgentClient
import AgentProtocol
import EmulatedHost
import Glibc
import LinuxCalls

/// A running machine, as command lines that do not own it reach it.
public struct MachineRemote: Sendable {
    private static let patienceMilliseconds: UInt64 = 10_000
    public let store: MachineStore
    public let record: MachineRecord

    public init(_ record: MachineRecord, store: MachineStore) {
        self.record = record
        self.store = store
    }

    /// The way to the machine's agent.
    public func endpoint() throws(FleetError) -> any AgentEndpoint {
        VsockEndpoint(path: record.socketPath, domain: try Launchers.sockets(of: record, paths: store.paths))
    }

    public func connect() throws -> AgentConnection {
        try AgentConnection(to: try endpoint(), until: Deadline(afterMilliseconds: Self.patienceMilliseconds))
    }

    /// How long a copy may stand still.
    public var copyPatience: Duration { record.isEmulated ? .seconds(120) : FileCopy.usualPatience }

    /// Tells the guest to power off, its processes to end first, and ends it when it does not.
    public func stop(graceSeconds: UInt32) throws {
        let grace = UInt64(graceSeconds) * 1000
        do {
            let control = try connect()
            try control.send(
                .powerOff(PowerOff(.powerOff, graceMilliseconds: UInt32(truncatingIfNeeded: min(grace, 3_600_000)))))
            // The end of the connection is the answer.
            _ = try? control.receive(until: Deadline(afterMilliseconds: grace + 2000))
        } catch {
            // An agent that does not answer cannot be asked.
        }
        if store.waitUntilOver(record, milliseconds: 2000) { return }
        try kill()
    }

    /// Ends the machine at once: its owner kills the monitor. An owner that does not even do that is killed itself, and
    /// the monitor ends with it.
    public func kill() throws(FleetError) {
        signalOwner(SignalWatcher.endNow)
        // The owner gives the monitor its time before it kills it, and cleans up after it.
        if store.waitUntilOver(record, milliseconds: record.isEmulated ? 30_000 : 5000) { return }
        signalOwner(SIGKILL)
        guard store.waitUntilOver(record, milliseconds: 5000) else {
            throw FleetError(
                .stillRunning,
                "the machine \"\(record.name)\" does not end; its owner is process \(record.ownerProcess)")
        }
    }

    /// Has the owner pass a signal on to the machine's program, as it does with those that come to `run`.
    /// - Parameter signal: one of `SignalWatcher.passedOn`.
    public func pass(_ signal: Int32) throws(FleetError) {
        // Before the program runs a signal would end the machine.
        guard record.state == .running else {
            throw FleetError(
                .notRunning, "the machine \"\(record.name)\" runs no program (it is \(record.state.rawValue))")
        }
        signalOwner(signal)
    }

    /// The record is read again: `run --detach` hands a machine from one process to another, and the first one's number
    /// may have gone to a stranger.
    private func signalOwner(_ signal: Int32) {
        let folder = store.folder(record.id)
        guard MachineLock.isHeld(in: folder), let record = MachineRecord.read(from: folder) else { return }
        record.owner?.send(signal: signal)
    }
}
