import AgentClient
import AgentProtocol

/// Starts monitors: on this machine, or inside the emulated host. Everything else about a machine is the same.
protocol MonitorLauncher: AnyObject, Sendable {
    var isEmulated: Bool { get }
    /// What all machines there have together; nil where that is this computer's memory.
    var memoryMebibytes: Int? { get }
    /// Where the monitors' sockets are.
    var sockets: any SocketDomain { get }
    /// How long a guest may take until its agent answers.
    var patienceSeconds: UInt32 { get }
    /// Makes the place of a monitor.
    /// - Parameters:
    ///   - id: the machine's.
    ///   - controlFolder: a folder that is there, for what the monitor writes.
    ///   - servesFolders: whether the monitor needs its owner's rights over files.
    func prepare(_ id: String, controlFolder: String?, servesFolders: Bool) throws(FleetError) -> MonitorPlace
    /// Starts `swiftlet-vmm` with that configuration; its console and its messages go to `console`.
    func start(
        _ executable: String, configurationPath: String, in place: MonitorPlace, console: any OutputSink
    ) throws(FleetError) -> any RunningMonitor
    /// Runs a program of the product to its end, where monitors run.
    /// - Returns: whether it ended with 0, and what it said.
    func ask(_ arguments: [String]) throws(FleetError) -> (isRight: Bool, said: String)
    /// Runs a program of the product where monitors run, and hands on what it writes as it comes. It gets the signals that come
    /// meanwhile; when this process ends, or nobody wants its output any more, it ends too.
    /// - Returns: whether it ended with 0, or because nobody wanted more.
    func stream(
        _ arguments: [String], to output: any OutputSink, signals: SignalWatcher
    ) throws(FleetError) -> Bool
    /// Removes what a monitor that has ended has left of its place.
    func clear(_ place: MonitorPlace, of monitor: any RunningMonitor)
}

/// Where a machine's monitor has its sockets, and who it is.
struct MonitorPlace: Sendable {
    /// The monitor's `uds_path`.
    let socketPath: String
    /// The user and group that the monitor becomes; nil: those of its owner.
    var identity: UInt32?
    /// What is put before the monitor's own command, so that it begins in another network; empty: in this one.
    var entrance: [String] = []

    /// Where the agent's connections are taken.
    var agentSocket: String { "\(socketPath)_\(VsockPorts.agent)" }
    var controlSocket: String { MonitorConfiguration.controlSocket(socketPath) }
}

/// A monitor that has been started. When its owner ends, however it does, the monitor ends too.
protocol RunningMonitor: AnyObject, Sendable {
    /// Readable when it has ended.
    var exitDescriptor: Int32 { get }
    /// On this machine; nil inside the emulated host.
    var processIdentifier: Int32? { get }
    /// How long it may take to end when it is asked to.
    var graceMilliseconds: UInt64 { get }
    /// Asks it to end, its sockets removed.
    func terminate()
    func kill()
    /// Waits until it has ended and its console is written.
    func waitUntilEnded(milliseconds: UInt64) -> Bool
    /// Whether it ended by a signal, and so without removing its socket.
    var wasKilled: Bool { get }
    /// In words, once it has ended.
    var ending: String { get }
}

extension RunningMonitor {
    /// Ends it, with its sockets removed unless it does not react.
    func end() {
        terminate()
        if waitUntilEnded(milliseconds: graceMilliseconds) { return }
        kill()
        _ = waitUntilEnded(milliseconds: 30_000)
    }
}
