public import AgentClient
import AgentProtocol
import EmulatedHost
import Glibc
import HostFiles
import LinuxCalls

/// A running machine, as command lines that do not own it reach it.
public struct MachineRemote: Sendable {
    /// How long its agent and its monitor may take to answer. Guests of the emulated host share one emulated processor, and stand still for
    /// seconds where there are many.
    var patienceMilliseconds: UInt64 { record.isEmulated ? 60_000 : 10_000 }
    /// A guest writes to its disks what it has not, which its owner waits for as long.
    static func powerOffMilliseconds(_ isEmulated: Bool) -> UInt64 { isEmulated ? 30_000 : 10_000 }
    private var powerOffMilliseconds: UInt64 { Self.powerOffMilliseconds(record.isEmulated) }
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

    /// - Throws: `.paused` for a machine that stands still, whose agent would never answer.
    public func connect() throws -> AgentConnection {
        if store.isPaused(record) {
            throw FleetError(
                .paused,
                "the machine \"\(record.name)\" is paused; let it go on first: swiftlet resume \(record.name)")
        }
        return try AgentConnection(to: try endpoint(), until: Deadline(afterMilliseconds: patienceMilliseconds))
    }

    /// How long a copy may stand still.
    public var copyPatience: Duration { record.isEmulated ? .seconds(120) : FileCopy.usualPatience }

    /// Has the owner give the program its stop signal, and never run it again. A program that has not ended in time ends
    /// with its guest, which is powered off; a guest that does not do that is ended.
    /// - Parameter graceSeconds: how long the program has; nil for as long as its machine says.
    /// - Parameter comesBack: this is not the machine's end in the eyes of its restart policy: `restore` begins it again.
    public func stop(graceSeconds: Double?, comesBack: Bool = false) throws {
        if comesBack { try store.markComingBack(record) }
        let grace = min(graceSeconds ?? record.specification.container.stopTimeoutSeconds, 86_400)
        // A program that stands still could not end.
        if store.isPaused(record) { try resume() }
        signalOwner(SignalWatcher.stop)
        if store.waitUntilOver(record, milliseconds: UInt64(grace * 1000)) { return }
        do {
            let control = try connect()
            try control.send(.powerOff(PowerOff(.powerOff, graceMilliseconds: 0)))
            // The end of the connection is the answer.
            _ = try? control.receive(until: Deadline(afterMilliseconds: powerOffMilliseconds))
        } catch {
            // An agent that does not answer cannot be asked.
        }
        if store.waitUntilOver(record, milliseconds: powerOffMilliseconds) { return }
        try kill()
    }

    /// Has the owner stop the program and boot the machine anew, whatever its restart policy: its memory is gone by that.
    /// - Throws: `.stillRunning` when it has not begun again in time.
    public func restart() throws {
        let before = MachineRecord.read(from: store.folder(record.id))?.resetCount ?? 0
        try files { () throws(HostFileError) in
            try store.folder(record.id).appending(OwnedMachine.restartRequest).replaceQuickly([])
        }
        if store.isPaused(record) { try resume() }
        signalOwner(SignalWatcher.stop)
        let grace = min(record.specification.container.stopTimeoutSeconds, 86_400)
        if wait(seconds: grace, until: { ($0.resetCount ?? 0) > before }) == nil {
            if let control = try? connect() {
                try? control.send(.powerOff(PowerOff(.powerOff, graceMilliseconds: 0)))
            }
        }
        let patience = record.isEmulated ? 300.0 : 60
        guard
            let now = wait(
                seconds: patience,
                until: {
                    $0.state.isOver || (($0.resetCount ?? 0) > before && $0.state == .running)
                }), now.state == .running
        else {
            throw FleetError(
                .stillRunning, "the machine \"\(record.name)\" has not begun again within \(Int(patience)) s")
        }
    }

    /// The record once it is as wanted; nil when that takes too long.
    private func wait(seconds: Double, until isWanted: (MachineRecord) -> Bool) -> MachineRecord? {
        let deadline = Deadline(after: .milliseconds(Int64(seconds * 1000)))
        while !deadline.isOver {
            if let record = MachineRecord.read(from: store.folder(record.id)), isWanted(record) { return record }
            LinuxCalls.sleep(nanoseconds: 50_000_000)
        }
        return nil
    }

    /// Ends the machine at once: its owner kills the monitor. An owner that does not even do that is killed itself, and
    /// the monitor ends with it.
    public func kill() throws(FleetError) {
        signalOwner(SignalWatcher.endNow)
        // The owner gives the monitor its time before it kills it, and cleans up after it.
        if store.waitUntilOver(record, milliseconds: record.isEmulated ? 60_000 : 5000) { return }
        signalOwner(SIGKILL)
        guard store.waitUntilOver(record, milliseconds: 30_000) else {
            throw FleetError(
                .stillRunning,
                "the machine \"\(record.name)\" does not end; its owner is process \(record.ownerProcess)")
        }
        store.noteStop(of: record)
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
