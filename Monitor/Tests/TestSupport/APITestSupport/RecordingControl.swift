import LinuxCalls
public import MachineConfiguration
public import MonitorAPI

/// A host where every file is there but `/missing`, and a machine that notes what it is asked for.
public final class RecordingControl: MachineControl {
    public var started: VirtualMachineConfiguration?
    public var calls: [String] = []
    public var refusal: HostRefusal?
    /// How long pausing and saving take.
    public var delayMicroseconds: UInt64 = 0

    public init() {}

    public func checkFile(_ path: String, isWritable: Bool) throws(HostRefusal) {
        if path == "/missing" { throw HostRefusal("No such file or directory (os error 2)") }
    }

    public func checkDisk(_ path: String, isWritable: Bool) throws(HostRefusal) {
        try checkFile(path, isWritable: isWritable)
    }

    public func contents(of path: String) throws(HostRefusal) -> [UInt8] {
        try checkFile(path, isWritable: false)
        return Array(#"{"kvm_capabilities":["1"]}"#.utf8)
    }

    /// Only what a test has made itself: a request may name anything.
    public func openOutput(_ path: String) throws(HostRefusal) -> Int32 {
        guard path.hasPrefix("/tmp/swiftlet-face-") else { throw HostRefusal("No such file or directory (os error 2)") }
        do throws(LinuxError) { return try open(path, [.readWrite, .append, .nonBlocking]).release() } catch {
            throw HostRefusal(error.originalWords)
        }
    }

    /// Whether this host's processors are such that every template is for them.
    public var takesTemplates = false

    public func checkTemplate(_ name: String) throws(HostRefusal) {
        if takesTemplates { return }
        throw HostRefusal("CPU vendor mismatched between actual CPU and CPU template.")
    }

    public func connectDrive(_ identifier: String, socket: String) throws(HostRefusal) -> Bool {
        try checkFile(socket, isWritable: true)
        calls.append("connect \(identifier) \(socket)")
        return socket.contains("read-only")
    }

    public func refreshDrive(_ identifier: String) throws(HostRefusal) {
        if let refusal { throw refusal }
        calls.append("refresh \(identifier)")
    }

    public func openVsock(_ path: String) throws(HostRefusal) {
        try checkFile(path, isWritable: true)
        calls.append("vsock \(path)")
    }

    public func start(_ configuration: VirtualMachineConfiguration) throws(HostRefusal) {
        if let refusal { throw refusal }
        started = configuration
    }

    /// What `openSnapshot` gives, when there is something.
    public var snapshot: String?

    public func openSnapshot(
        statePath: String, memoryPath: String, isServed: Bool, tree: VirtualMachineConfiguration.MemoryTreeReference?
    ) throws(HostRefusal) -> [UInt8] {
        calls.append(
            "open \(statePath) \(memoryPath)" + (isServed ? " served" : "")
                + (tree.map { " checked by \($0.path)" } ?? ""))
        guard let snapshot else { throw HostRefusal("No such file or directory (os error 2)") }
        return Array(snapshot.utf8)
    }

    public func restore(_ configuration: VirtualMachineConfiguration, isPaused: Bool) throws(HostRefusal) {
        if let refusal { throw refusal }
        started = configuration
        calls.append(isPaused ? "restore paused" : "restore")
    }

    public func writeSnapshot(
        statePath: String, memoryPath: String, isDifferential: Bool, configuration: [UInt8]
    ) throws(HostRefusal) {
        if let refusal { throw refusal }
        delay()
        calls.append("snapshot \(statePath) \(memoryPath)" + (isDifferential ? " of changes" : ""))
        snapshot = String(decoding: configuration, as: UTF8.self)
    }

    public func writeWorkingSet(memoryPath: String) throws(HostRefusal) {
        if let refusal { throw refusal }
        calls.append("working set \(memoryPath)")
    }

    public func writeLiveSnapshot(
        statePath: String, memoryPath: String, isDifferential: Bool, configuration: [UInt8]
    ) throws(HostRefusal) -> UInt64 {
        try writeSnapshot(
            statePath: statePath, memoryPath: memoryPath, isDifferential: isDifferential, configuration: configuration)
        return 1_234_000
    }

    public func pressControlAltDelete() throws(HostRefusal) {
        if let refusal { throw refusal }
        calls.append("keys")
    }
    public func pause() throws(HostRefusal) {
        delay()
        calls.append("pause")
    }

    private func delay() {
        let end = Clock.monotonic.nanoseconds() + delayMicroseconds * 1000
        while Clock.monotonic.nanoseconds() < end {}
    }
    public func resume() throws(HostRefusal) { calls.append("resume") }

    public func replaceDisk(_ identifier: String, path: String) throws(HostRefusal) {
        try checkFile(path, isWritable: true)
        calls.append("disk \(identifier) \(path)")
    }

    public func setLimits(ofDrive identifier: String, _ limits: RateLimits) throws(HostRefusal) {
        calls.append("limits \(identifier) \(limits.bytes?.size ?? 0)")
    }

    public func setLimits(ofPersistentMemory identifier: String, _ limits: RateLimits) throws(HostRefusal) {
        calls.append("limits \(identifier) \(limits.operations?.size ?? 0)")
    }

    public func setLimits(
        ofInterface identifier: String, receive: RateLimits?, transmit: RateLimits?
    ) throws(HostRefusal) {
        calls.append("limits \(identifier) \(receive?.bytes?.size ?? 0) \(transmit?.bytes?.size ?? 0)")
    }

    public var balloon: BalloonReport? {
        var report = BalloonReport()
        report.targetPages = 2560
        report.figures = [("free_memory", 4096)]
        return report
    }

    public func setBalloon(mebibytes: UInt32) throws(HostRefusal) { calls.append("balloon \(mebibytes)") }
    public var balloonHints: (host: UInt32, guest: UInt32?)? { (3, 2) }
    public func startBalloonHints(acknowledging: Bool) throws(HostRefusal) { calls.append("hints \(acknowledging)") }
    public func stopBalloonHints() throws(HostRefusal) { calls.append("no hints") }
    public func setBalloonInterval(seconds: UInt32) throws(HostRefusal) { calls.append("interval \(seconds)") }
    public var memory: (requested: UInt64, plugged: UInt64)? { (256, 128) }
    public func requestMemory(mebibytes: UInt64) throws(HostRefusal) { calls.append("memory \(mebibytes)") }
    public func count(_ group: String, _ name: String) -> UInt64 { 7 }
}
