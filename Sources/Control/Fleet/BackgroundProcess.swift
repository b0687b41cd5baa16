public import AgentClient
import CLinux
import Glibc
import LinuxCalls

/// The owner of a machine in the background, a child of this process: its number is no stranger's for as long as this one runs.
public struct BackgroundProcess: Sendable {
    /// How long it may take to end with its machine: who waits for that has pressed a key.
    public static let graceMilliseconds: UInt64 = 1200

    let identifier: Int32

    func send(_ signal: Int32) { _ = kill(identifier, signal) }

    /// Asks it to end its machine, whatever the program wants.
    public func askToEnd() { send(SignalWatcher.endNow) }

    /// Waits for its end. One that takes too long is killed, and its monitor ends with it.
    public func end(by deadline: Deadline) {
        // SAFETY: no address is passed.
        if let number = unsafe try? systemCall(__NR_pidfd_open, Int(identifier), 0) {
            let exit = FileDescriptor(owning: Int32(truncatingIfNeeded: number))
            if waitUntilReadable(exit.number, until: deadline) { return }
            send(SIGKILL)
            _ = waitUntilReadable(exit.number, until: Deadline(afterMilliseconds: Self.graceMilliseconds))
        }
    }
}
