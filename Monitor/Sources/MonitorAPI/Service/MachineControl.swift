public import MachineConfiguration

/// What the API asks of the host and of the machine that it has started; the program that owns both provides it.
///
/// Called on the API's thread only. Every refusal is worded for the client.
public protocol MachineControl: AnyObject {
    // MARK: Before the start: is what a request names there?

    /// - Parameter isWritable: whether it must be possible to write it.
    func checkFile(_ path: String, isWritable: Bool) throws(HostRefusal)
    /// A regular file or block device, as `checkFile`, that can be a disk.
    func checkDisk(_ path: String, isWritable: Bool) throws(HostRefusal)
    /// Connects to the process that is to serve a drive's requests; the connection before, of that drive, ends first.
    /// - Returns: whether it takes no writes.
    func connectDrive(_ identifier: String, socket: String) throws(HostRefusal) -> Bool
    /// What a file of the configuration holds, as far as it may be long.
    func contents(of path: String) throws(HostRefusal) -> [UInt8]
    /// Opens what lines are to be appended to: a file that exists, or a pipe; without waiting for anybody.
    /// - Returns: a descriptor, which is the caller's.
    func openOutput(_ path: String) throws(HostRefusal) -> Int32

    /// Makes the socket where host programs will ask for the guest's ports; the one before goes.
    func openVsock(_ path: String) throws(HostRefusal)

    /// Whether this host's processors can be shown to a guest as those of a named template.
    func checkTemplate(_ name: String) throws(HostRefusal)
    /// Builds the machine and starts its guest.
    func start(_ configuration: VirtualMachineConfiguration) throws(HostRefusal)

    /// Reads a snapshot's state, and takes the memory that belongs to it; `restore` then goes on from there.
    /// - Returns: the configuration that was kept with it, as JSON.
    /// - Parameter isServed: whether `memoryPath` is a socket, where a process listens that puts pages in their places.
    /// - Parameter tree: against what each page is checked that is touched.
    func openSnapshot(
        statePath: String, memoryPath: String, isServed: Bool, tree: VirtualMachineConfiguration.MemoryTreeReference?
    ) throws(HostRefusal) -> [UInt8]
    /// Builds the machine of the snapshot that was opened last.
    /// - Parameter isPaused: whether its guest stands still until `resume`.
    func restore(_ configuration: VirtualMachineConfiguration, isPaused: Bool) throws(HostRefusal)

    // MARK: Afterwards

    /// Writes a full snapshot of the machine, which stands still.
    /// - Parameter configuration: kept with it, as JSON.
    func writeSnapshot(
        statePath: String, memoryPath: String, isDifferential: Bool, configuration: [UInt8]
    ) throws(HostRefusal)
    /// Writes down, beside the memory file that the machine was made from, which of its pages it has touched.
    func writeWorkingSet(memoryPath: String) throws(HostRefusal)
    /// A snapshot of a machine that runs, and goes on to do so.
    /// - Returns: for how many nanoseconds it stood still.
    func writeLiveSnapshot(
        statePath: String, memoryPath: String, isDifferential: Bool, configuration: [UInt8]
    ) throws(HostRefusal) -> UInt64

    /// Presses control, alt and delete, or the power button where the guest has no keyboard.
    func pressControlAltDelete() throws(HostRefusal)
    func pause() throws(HostRefusal)
    func resume() throws(HostRefusal)
    /// Has a drive of the guest read and write another file, or the same one anew.
    func replaceDisk(_ identifier: String, path: String) throws(HostRefusal)
    /// Has the process that serves a drive say anew what the drive is, and the guest look at it.
    func refreshDrive(_ identifier: String) throws(HostRefusal)
    func setLimits(ofDrive identifier: String, _ limits: RateLimits) throws(HostRefusal)
    func setLimits(ofPersistentMemory identifier: String, _ limits: RateLimits) throws(HostRefusal)
    /// Directions without limits in the request stay as they are.
    func setLimits(
        ofInterface identifier: String, receive: RateLimits?, transmit: RateLimits?
    ) throws(HostRefusal)
    /// - Returns: what the balloon is and holds; nil without one.
    var balloon: BalloonReport? { get }
    func setBalloon(mebibytes: UInt32) throws(HostRefusal)
    /// - Returns: what host and guest have said last of a run of hints; nil without a balloon.
    var balloonHints: (host: UInt32, guest: UInt32?)? { get }
    func startBalloonHints(acknowledging: Bool) throws(HostRefusal)
    func stopBalloonHints() throws(HostRefusal)
    func setBalloonInterval(seconds: UInt32) throws(HostRefusal)
    /// - Returns: how much memory is to be plugged and is, in MiB; nil for a machine that can have none.
    var memory: (requested: UInt64, plugged: UInt64)? { get }
    func requestMemory(mebibytes: UInt64) throws(HostRefusal)
    /// What the guest's devices of a group have counted, or one of them: `block_ID`, `net_ID`.
    func count(_ group: String, _ name: String) -> UInt64
}

/// Why the host or the machine cannot do what was asked.
public struct HostRefusal: Error, Equatable, Sendable, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}

/// What a balloon holds, and what its guest has said.
public struct BalloonReport: Sendable {
    public var targetPages: UInt32 = 0
    public var actualPages: UInt32 = 0
    /// By the names of the API; what the guest has not said is not here.
    public var figures: [(name: String, value: UInt64)] = []

    public init() {}
}
