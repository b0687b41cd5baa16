public import AgentClient
public import FabricProtocol

/// What is to be captured, as people say it.
public struct CaptureWish: Sendable {
    /// Machines, their interfaces, networks, and wires as `between`, a network, `and`, another one.
    public var targets: [String]
    /// Whether each machine's wire is looked at in its whole length.
    public var alongWires = false
    public var form: CaptureRequest.Form
    public var snapshotBytes: UInt32
    /// 0: as many as there are.
    public var mostFrames: UInt64 = 0
    /// 0: until somebody ends it.
    public var milliseconds: UInt64 = 0
    public var filter = ""

    public init(_ targets: [String], form: CaptureRequest.Form, snapshotBytes: UInt32) {
        self.targets = targets
        self.form = form
        self.snapshotBytes = snapshotBytes
    }
}

extension MachineFleet {
    /// Hands on what goes by, until it ends by itself, or a signal asks for its end, or nobody wants any more.
    /// - Parameter output: gets a capture's file or lines, and as standard error what is said besides.
    public func capture(
        _ wish: CaptureWish, signals: SignalWatcher, output: any OutputSink
    ) throws {
        guard let launcher = try Launchers.running(store.paths) else {
            throw FleetError(
                .notRunning, "no machine runs, so nothing goes by; `swiftlet ps --all` shows what there is")
        }
        let fabric = FabricControl(launcher: launcher, store: store)
        let places = try CaptureHops(store: store, fabric: fabric).find(wish.targets, alongWires: wish.alongWires)
        let request = CaptureRequest(
            form: wish.form, snapshotBytes: wish.snapshotBytes, mostFrames: wish.mostFrames,
            milliseconds: wish.milliseconds, filter: wish.filter, places: places)
        try fabric.capture(request, signals: signals, output: output)
    }
}
