import AgentProtocol
import LinuxCalls

/// The time from `hold` to `release`. A snapshot taken in it begins in it as well.
final class Hold {
    let programs: any StoppedPrograms
    /// Who asked for it; nil when that connection ended with the transport.
    var connection: ControlConnection?
    let id: UInt32
    let deadline: UInt64
    /// The machine's vsock number when it began.
    let contextID: UInt32?
    /// Whether the transport has ended meanwhile, as it does in a machine that is restored.
    var wasReset = false
    var hasIdentity = false
    /// Commands that wait for the programs to go on.
    var starts: [(start: Start, id: UInt32, connection: ControlConnection)] = []
    /// Came while the hooks were still at work.
    var awaitedRelease: (id: UInt32, connection: ControlConnection)?

    init(_ programs: any StoppedPrograms, _ connection: ControlConnection, id: UInt32, patienceMilliseconds: UInt32) {
        self.programs = programs
        self.connection = connection
        self.id = id
        deadline = Clock.monotonic.nanoseconds() &+ UInt64(patienceMilliseconds) * 1_000_000
        contextID = VsockSocket.own
    }

    /// Whether this machine came out of a snapshot that was taken since: by the transport's end, which the kernel tells every
    /// connection of also where the number stays the same, or by the number, which it knows before it tells.
    var isRestored: Bool { wasReset || contextID != VsockSocket.own }
}
