import LinuxCalls
import Machine
import MachineConfiguration

openMissingStandardStreams()
exitProcess(runMonitor())

/// Builds the machine that the arguments name, runs it, and says how it ended.
func runMonitor() -> Int32 {
    let invocation: Invocation
    do throws(InvocationError) {
        invocation = try Invocation(arguments: (try? processArguments()) ?? [])
    } catch {
        writeToStandardError("swiftlet-vmm: \(error)\nTry 'swiftlet-vmm --help'.\n")
        return ExitStatus.badArguments
    }
    switch invocation {
    case .help:
        writeToStandardOutput(Invocation.helpText)
        return 0
    case .version:
        writeToStandardOutput("swiftlet-vmm \(Invocation.versionNumber)\n")
        return 0
    case .run(let source): return run(source)
    }
}

func run(_ source: ConfigurationSource) -> Int32 {
    let configuration: VirtualMachineConfiguration
    do throws(ConfigurationSourceError) {
        configuration = try source.load()
    } catch {
        writeToStandardError("swiftlet-vmm: \(error)\n")
        return ExitStatus.badConfiguration
    }
    let machine: Machine
    do throws(MachineError) {
        machine = try Machine(configuration)
    } catch {
        writeToStandardError("swiftlet-vmm: \(error)\n")
        return ExitStatus.notBuilt
    }
    let terminal =
        configuration.console.isEnabled ? configuration.console.inputDescriptor.flatMap(RawTerminal.init) : nil
    let end = machine.run()
    terminal?.restore()
    writeToStandardError("swiftlet-vmm: \(end)\n")
    return end.exitStatus
}

/// What the monitor exits with when no guest ran. The two high ones are Firecracker's.
enum ExitStatus {
    static let notBuilt: Int32 = 1
    static let badConfiguration: Int32 = 152
    static let badArguments: Int32 = 153
}
