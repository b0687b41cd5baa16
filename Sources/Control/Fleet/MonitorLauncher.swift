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
    /// The monitor's `uds_path` for the machine with that id.
    func socketPath(_ id: String) -> String
    /// Starts `swiftlet-vmm` with that configuration; its console and its messages go to `console`.
    func start(_ executable: String, configurationPath: String, console: any OutputSink) throws(FleetError)
        -> any RunningMonitor
    /// Runs a program of the product to its end, where monitors run.
    /// - Returns: whether it ended with 0, and what it said.
    func ask(_ arguments: [String]) throws(FleetError) -> (isRight: Bool, said: String)
    /// Removes what a killed monitor left at its `uds_path`.
    func removeSocket(_ path: String)
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
        _ = waitUntilEnded(milliseconds: 5000)
    }
}
