import AgentClient
import LinuxCalls

/// Whether it comes true, on however busy a computer. A child that another test starts has this process's descriptors,
/// and with them the locks of machines that were let go of meanwhile, until it is the program that it is to be.
func comesTrue(_ condition: () throws -> Bool) rethrows -> Bool {
    let deadline = Deadline(after: .seconds(60))
    while try !condition() {
        if deadline.isOver { return false }
        LinuxCalls.sleep(nanoseconds: 5_000_000)
    }
    return true
}
