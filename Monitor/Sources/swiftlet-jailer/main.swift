import Identity
import Jailer
import LinuxCalls

// Firecracker's jailer: makes the place that a monitor is confined to, and becomes the monitor in it.
let start = Jailer.Start()
openMissingStandardStreams()
do throws(JailerFault) {
    let invocation = try JailerInvocation(processArguments().dropFirst())
    switch invocation.errand {
    case .help:
        writeToStandardOutput("Jailer v\(Identity.firecrackerVersion)\n\n" + JailerInvocation.helpText)
    case .version:
        writeToStandardOutput("Jailer v\(Identity.firecrackerVersion)\n\nswiftlet-jailer \(Identity.version)\n")
    case nil: try Jailer.run(invocation, since: start)
    }
} catch {
    writeToStandardError(error.isMisuse ? "Failed to parse arguments: \(error)\n" : "Jailer error: \(error)\n")
    exitProcess(1)
}
