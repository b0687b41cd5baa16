public import AgentProtocol
import LinuxCalls

/// Says on standard output how an appliance is, in the words of a health check.
/// - Parameter reason: what is wrong with it; nil: nothing.
/// - Returns: the exit status that goes with it.
public func tellHealth(_ reason: ByteString?) -> Int32 {
    guard let reason else {
        writeToStandardOutput("healthy\n")
        return 0
    }
    writeToStandardOutput("unhealthy: \(reason.description)\n")
    return 1
}
