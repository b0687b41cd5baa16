import AgentClient
import LinuxCalls

/// What happens to a machine while it is changed, apart from what is written down: machines that are ended and begun. Tests
/// have another one, in which there are none.
protocol UpdateSurroundings {
    /// Ends a machine that runs, and waits for that.
    func stop(_ record: MachineRecord) throws
    /// Which generation of its settings counts for a machine, if it has any.
    func settingsGeneration(_ specification: MachineSpecification) throws -> UInt64?
    /// Whether a machine's settings could become what a version of it wants.
    func checkSettings(_ record: MachineRecord, for specification: MachineSpecification) throws
    /// Makes a machine's settings what a version of it wants, which it has been before if there is a generation. Done again,
    /// it changes nothing.
    func adoptSettings(_ specification: MachineSpecification, goingBackTo generation: UInt64?) throws
    /// Runs what was taken in the background; returns when its program runs.
    func start(_ machine: OwnedMachine) throws
    /// Watches a machine that has been begun until it is known whether it does.
    func judge(_ record: MachineRecord) throws -> UpdateVerdict
    /// Called after each step: who watches is told, and tests end it there.
    func reached(_ step: UpdateStep) throws
}

/// Whether a machine does, as what it has become.
public enum UpdateVerdict: Equatable, Sendable {
    case good
    case bad(reason: String)
    /// Somebody wants it to end meanwhile: it is what it was, and does not run.
    case stopped
}

/// How far a change has come.
public enum UpdateStep: String, Sendable, CaseIterable {
    /// Both versions are written down.
    case prepared
    /// It is written down that the machine may be ended from now on.
    case switching
    case stopped
    /// Its settings are what the other version wants.
    case adopted
    /// Its record says what it is to be.
    case changed
    case started
    case judged
    case kept
    /// It did not do, and has been ended again.
    case ended
    /// Its record says what it was.
    case changedBack = "changed-back"
    /// That runs, if it had.
    case startedAgain = "started-again"
    case rolledBack = "rolled-back"
}

/// Real machines.
struct MachineSurroundings: UpdateSurroundings {
    let fleet: MachineFleet
    let executable: String
    let signals: SignalWatcher?
    let files: [HandedInFile]
    let trial: UpdateTrial
    let report: (UpdateStep) -> Void

    func stop(_ record: MachineRecord) throws {
        try MachineRemote(record, store: fleet.store).stop(graceSeconds: nil, comesBack: true)
    }

    func settingsGeneration(_ specification: MachineSpecification) throws -> UInt64? {
        try VersionSettings(fleet: fleet).generation(of: specification)
    }

    func checkSettings(_ record: MachineRecord, for specification: MachineSpecification) throws {
        try VersionSettings(fleet: fleet).check(record, for: specification)
    }

    func adoptSettings(_ specification: MachineSpecification, goingBackTo generation: UInt64?) throws {
        try VersionSettings(fleet: fleet).adopt(specification, goingBackTo: generation)
    }

    func start(_ machine: OwnedMachine) throws {
        try fleet.runInBackground(machine, executable: executable, signals: signals, handingIn: files)
    }

    func judge(_ record: MachineRecord) throws -> UpdateVerdict {
        try trial.judge(record, fleet.store, signals: signals)
    }

    func reached(_ step: UpdateStep) { report(step) }
}
