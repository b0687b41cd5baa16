import Jail
import LinuxCalls
import Machine
import MachineConfiguration

openMissingStandardStreams()
exitProcess(runMonitor())

/// Builds the machine that the arguments name, runs it, and says how it ended.
func runMonitor() -> Int32 {
    let arguments = processArguments()
    if let rest = JailerFace.arguments(of: arguments) { return JailerFace.run(rest) }
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
            "swiftlet-vmm \(Invocation.versionNumber)\n"
                + (landlock > 0 ? "Landlock \(landlock)\n" : "no Landlock in this kernel\n"))
        return 0
    case .snapshot(let command): return command.run()
    case .run(let source, let filtering, let isEnclosed): return run(source, filtering, isEnclosed: isEnclosed)
    }
}

func run(_ source: ConfigurationSource, _ filtering: Confinement.Mode, isEnclosed: Bool) -> Int32 {
    let configuration: VirtualMachineConfiguration
    do throws(ConfigurationSourceError) {
        configuration = try source.load()
    } catch {
        writeToStandardError("swiftlet-vmm: \(error)\n")
        return ExitStatus.badConfiguration
    }
    let machine: Machine
    do throws(MachineError) {
        machine = try Machine(
            configuration,
            enclosure: isEnclosed
                ? Enclosure(
                    socketPaths: configuration.vsock.map { [$0.udsPath] } ?? [],
                    sharedFolders: configuration.sharedFolders.map { $0.pathOnHost }) : .none)
    } catch {
        writeToStandardError("swiftlet-vmm: \(error)\n")
        return ExitStatus.notBuilt
    }
    let terminal =
        configuration.console.isEnabled ? configuration.console.inputDescriptor.flatMap(RawTerminal.init) : nil
    let end = machine.run(
        Confinement(
            filtering, parts: configuration.jailedParts(hasTerminal: terminal != nil), dropsCapabilities: isEnclosed))
    terminal?.restore()
    writeToStandardError("swiftlet-vmm: \(end)\n")
    return end.exitStatus
}

extension VirtualMachineConfiguration {
    /// What of the machine makes system calls of its own.
    func jailedParts(hasTerminal: Bool) -> JailedParts {
        var parts: JailedParts = []
        if !networkInterfaces.isEmpty { parts.insert(.network) }
        if vsock != nil { parts.insert(.vsock) }
        if balloon != nil { parts.insert(.balloon) }
        if hasEntropyDevice { parts.insert(.entropy) }
        if drives.contains(where: { $0.limits != nil }) { parts.insert(.limits) }
        if console.isEnabled { parts.insert(.console) }
        if hasTerminal { parts.insert(.terminal) }
        return parts
    }
}

/// What the monitor exits with when no guest ran. The two high ones are Firecracker's.
enum ExitStatus {
    static let notBuilt: Int32 = 1
    static let badConfiguration: Int32 = 152
    static let badArguments: Int32 = 153
}
