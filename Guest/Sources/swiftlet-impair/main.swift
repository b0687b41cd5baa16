import AgentProtocol
import ApplianceGuest
import LinuxCalls

openMissingStandardStreams()
_ = try? setBlockedSignals(SignalSet(bits: .max))
exitProcess(runImpair())

/// Does what the first argument says.
func runImpair() -> Int32 {
    let arguments = processArguments()
    switch arguments.count > 1 ? ByteString(arguments[1]) : "" {
    case "run": return Impair.run()
    case "apply": return Impair.apply()
    case "status": return Impair.status()
    case "health": return tellHealth(Impair.fault())
    default:
        writeToStandardError(
            "impair: one of run, apply (the settings, to the one that runs), status (what went by), health\n")
        return 64
    }
}
