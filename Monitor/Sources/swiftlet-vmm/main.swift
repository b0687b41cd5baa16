import Identity
import Jail
import LinuxCalls
import Machine
import MachineConfiguration
import Snapshots
import WireFormats

openMissingStandardStreams()
exitProcess(runMonitor())

/// Builds the machine that the arguments name, runs it, and says how it ended.
func runMonitor() -> Int32 {
    let arguments = processArguments()
    if FirecrackerFace.isMeant(by: arguments) { return FirecrackerFace.run(arguments.dropFirst()) }
    let invocation: Invocation
    do throws(InvocationError) {
        invocation = try Invocation(arguments: arguments)
    } catch {
        writeToStandardError("swiftlet-vmm: \(error)\nTry 'swiftlet-vmm --help'.\n")
        return ExitStatus.badArguments
    }
    switch invocation {
    case .help:
        writeToStandardOutput(Invocation.helpText)
        return 0
    case .version:
        let landlock = Landlock.version
        writeToStandardOutput(
            "swiftlet-vmm \(Identity.version)\n"
                + (landlock > 0 ? "Landlock \(landlock)\n" : "no Landlock in this kernel\n"))
        return 0
    case .snapshot(let command): return command.run()
    case .attach(let command): return command.run()
    case .run(let source, let filtering, let enclosing): return run(source, filtering, enclosing)
    }
}

func run(
    _ source: ConfigurationSource, _ filtering: Confinement.Mode, _ enclosing: Invocation.Enclosing
) -> Int32 {
    let configuration: VirtualMachineConfiguration
    let document: JSONValue
    do throws(ConfigurationSourceError) {
        (configuration, document) = try source.load()
    } catch {
        writeToStandardError("swiftlet-vmm: \(error)\n")
        return ExitStatus.badConfiguration
    }
    let machine: Machine
    var face: ControlFace?
    do throws(ControlFault) {
        if let control = configuration.control {
            face = try ControlFace(
                control, document, isPaused: configuration.restore?.resumes == false)
        }
        machine = try build(configuration, enclosing)
    } catch {
        face?.removeSocket()
        writeToStandardError("swiftlet-vmm: \(error)\n")
        return ExitStatus.notBuilt
    }
    let terminal =
        configuration.console.isEnabled ? configuration.console.inputDescriptor.flatMap(RawTerminal.init) : nil
    let confinement = Confinement(
        filtering, parts: configuration.jailedParts(hasTerminal: terminal != nil), dropsCapabilities: enclosing != .none
    )
    do throws(LinuxError) { try face?.start(machine, confinement) } catch {
        writeToStandardError("swiftlet-vmm: start the thread of control: \(error)\n")
        machine.requestEnd()
    }
    let end = machine.run(confinement)
    face?.removeSocket()
    terminal?.restore()
    writeToStandardError("swiftlet-vmm: \(end)\n")
    return end.exitStatus
}

/// Builds the machine, of its kernel or of its snapshot.
private func build(
    _ configuration: VirtualMachineConfiguration, _ enclosing: Invocation.Enclosing
) throws(ControlFault) -> Machine {
    var enclosure = Enclosure.none
    if enclosing != .none {
        var identity: UInt32?
        if case .asUser(let user) = enclosing { identity = user }
        var sockets = configuration.vsock.map { [$0.udsPath] } ?? []
        if let control = configuration.control { sockets.append(control.socketPath) }
        enclosure = Enclosure(
            socketPaths: sockets, sharedFolders: configuration.sharedFolders.map { $0.pathOnHost },
            otherFolders: configuration.control.map { [$0.folder] } ?? [], identity: identity)
    }
    do throws(MachineError) {
        guard let restore = configuration.restore else { return try Machine(configuration, enclosure: enclosure) }
        let folder: FileDescriptor
        do throws(LinuxError) { folder = try open(restore.folder, [.readOnly, .directory]) } catch {
            throw .file(purpose: "snapshot's folder", path: restore.folder, error)
        }
        let files = SnapshotFiles(statePath: restore.state, memoryPath: restore.memory, in: folder.number)
        let state = try files.readState()
        if let tree = restore.tree {
            return try Machine(
                configuration, restoring: state, checked: files.openMemory(of: state, tree: tree.path, root: tree.root),
                isPaused: !restore.resumes, enclosure: enclosure)
        }
        let memory = try files.openMemory(of: state)
        return try Machine(
            configuration, restoring: state, memory: memory, isPaused: !restore.resumes, enclosure: enclosure)
    } catch { throw ControlFault(description: "\(error)") }
}

extension VirtualMachineConfiguration {
    /// What of the machine makes system calls of its own.
    func jailedParts(hasTerminal: Bool) -> JailedParts {
        var parts: JailedParts = []
        if !networkInterfaces.isEmpty || slotCount > 0 { parts.insert(.network) }
        if vsock != nil { parts.insert(.vsock) }
        if balloon != nil { parts.insert(.balloon) }
        if hasEntropyDevice { parts.insert(.entropy) }
        if pluggableMemory != nil { parts.insert(.pluggableMemory) }
        if drives.contains(where: { $0.limits != nil }) || persistentMemories.contains(where: { $0.limits != nil }) {
            parts.insert(.limits)
        }
        if console.isEnabled { parts.insert(.console) }
        if hasTerminal { parts.insert(.terminal) }
        // Limits may come while it runs.
        if restore?.tree != nil { parts.insert(.checkedMemory) }
        if hasHugePages { parts.insert(.hugePages) }
        if control != nil { parts.formUnion([.control, .limits]) }
        if slotCount > 0 { parts.insert(.slots) }
        if drives.contains(where: { $0.socket != nil }) { parts.insert(.driveBackends) }
        return parts
    }
}

/// What the monitor exits with when no guest ran. The two high ones are Firecracker's.
enum ExitStatus {
    static let notBuilt: Int32 = 1
    static let badConfiguration: Int32 = 152
    static let badArguments: Int32 = 153
}
