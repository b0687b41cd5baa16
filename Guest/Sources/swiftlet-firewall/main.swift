import AgentProtocol
import ApplianceGuest
import LinuxCalls

openMissingStandardStreams()
_ = try? setBlockedSignals(SignalSet(bits: .max))
exitProcess(runFirewall())

/// Does what the first argument says.
func runFirewall() -> Int32 {
    let arguments = processArguments()
    switch arguments.count > 1 ? ByteString(arguments[1]) : "" {
    case "run": return Firewall.run()
    case "apply": return Firewall.apply()
    case "check": return Firewall.check()
    case "health": return tellHealth(FirewallHealth.reason())
    default:
        writeToStandardError(
            "firewall: one of run, apply (the settings, to the one that runs), check (the settings, by what they would be made of), health\n"
        )
        return 64
    }
}
