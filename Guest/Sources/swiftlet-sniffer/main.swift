import AgentProtocol
import ApplianceGuest
import LinuxCalls

openMissingStandardStreams()
_ = try? setBlockedSignals(SignalSet(bits: .max))
exitProcess(runSniffer())

/// Does what the first argument says.
func runSniffer() -> Int32 {
    let arguments = processArguments()
    switch arguments.count > 1 ? ByteString(arguments[1]) : "" {
    case "run": return Sniffer.run()
    case "stream": return SnifferClient.copy(.live)
    case "kept": return SnifferClient.copy(.kept)
    case "status": return SnifferClient.copy(.status)
    case "health": return tellHealth(SnifferHealth.reason())
    default:
        writeToStandardError(
            "sniffer: one of run, stream (what is captured from now on), kept (what is kept), status, health\n")
        return 64
    }
}
