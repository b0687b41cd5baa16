import AgentClient
import Fleet
import GuestKernels
import HostFiles
import ImageStore

/// Makes a machine of what is asked for and runs it, in front or in the background.
struct MachineStart {
    var specification: MachineSpecification
    var name: String?
    var files: [HandedInFile] = []
    /// The moment of the template from which the machine goes on; nil for one that boots.
    var warmMoment: WarmMoment?
    /// Where the machine's id goes.
    var cidfile: String?
    var isJSON = false

    init(_ specification: MachineSpecification) { self.specification = specification }

    /// Makes the machine, with volumes that are missing: only for what is otherwise right.
    func create(_ signals: SignalWatcher? = nil) throws -> OwnedMachine {
        var specification = specification
        try specification.check()
        specification.container.volumes = try specification.container.volumes.map {
            try VolumeCommand.store.prepare($0)
        }
        let machine =
            if let warmMoment {
                try Product.fleet.makeWarm(specification, from: try template(warmMoment, signals), name: name)
            } else {
                try Product.fleet.create(specification, name: name)
            }
        do throws(ImageError) {
            // One that stays on record can be started again.
            if specification.removesItself {
                try ImageCommand.store.checkStillThere(specification.imageDigest)
            } else {
                try Product.fleet.keepImages(of: machine.record)
            }
        } catch {
            machine.abandon(error.message)
            throw error
        }
        if let cidfile { try write(machine.record.id, to: cidfile, of: machine) }
        return machine
    }

    private func template(_ moment: WarmMoment, _ signals: SignalWatcher?) throws -> SnapshotRecord {
        try Product.fleet.template(for: specification, when: moment, signals: signals) {
            if !isJSON { Output.error("swiftlet: \($0)") }
        }
    }

    func runInBackground(_ machine: OwnedMachine, _ signals: SignalWatcher) throws {
        try Product.fleet.runInBackground(
            machine, executable: Product.executable, signals: signals, handingIn: files)
    }

    /// - Throws: `ExitStatusError` with the program's, when it ran in front.
    func run(_ signals: SignalWatcher) throws {
        let machine = try create(signals)
        if specification.isDetached {
            try runInBackground(machine, signals)
            let started = StartedDocument(id: machine.record.id, name: machine.record.name)
            return isJSON ? Output.json(started) : Output.line(started.id)
        }
        let fleet = Product.fleet
        let standard = StandardOutputs()
        let streams: any OutputSink =
            specification.removesItself
            ? standard
            : ForkedOutput(standard, OutputLog(path: fleet.store.outputLog(machine.record)))
        let owner = try fleet.owner(of: machine, signals: signals, output: streams) {
            if !isJSON { Output.error("swiftlet: \($0)") }
        }
        owner.input = specification.isInteractive ? 0 : nil
        owner.handedIn = files
        owner.whenSettingsProposed = { SettingsCommit.answer($0) }
        owner.whenDamaged = { if !isJSON { Output.error("swiftlet: \($0)") } }
        owner.terminalSize = Terminal.size
        var raw: TerminalMode?
        if specification.hasTerminal, specification.isInteractive {
            owner.whenStarted = { raw = TerminalMode.raw(0) }
        }
        defer { raw?.restore() }
        let outcome = try owner.run()
        raw?.restore()
        if let loss = standard.loss { throw loss }
        if let note = outcome.note {
            var failure = CommandFailure("machine.ended-early", note)
            failure.status = outcome.exitStatus
            throw failure
        }
        throw ExitStatusError(status: outcome.exitStatus)
    }

    /// A file that is there is somebody else's.
    private func write(_ id: String, to path: String, of machine: OwnedMachine) throws {
        do throws(HostFileError) {
            try HostFile(HostPath(path), [.writeOnly, .create, .exclusive]).write(Array(id.utf8))
        } catch {
            let failure = CommandFailure("usage.cidfile", "\(error) (--cidfile)")
            machine.abandon(failure.message)
            throw failure
        }
    }
}

extension MachineSpecification {
    mutating func take(_ kernel: StoredKernel) {
        self.kernel = "\(kernel.name) \(kernel.version)"
        kernelPath = kernel.path
        kernelArguments = kernel.arguments
        modulesPath = kernel.modulesPath
    }
}
