import GuestMemory
public import LinuxCalls
import Synchronization
public import VirtioQueues

/// The balloon: memory that the host asks the guest to give back, and free pages that the guest reports by itself.
///
/// What the guest gives is punched out of the file behind its memory, so the host has it at once. Source: virtio 1.3 §5.5.
public final class BalloonDevice: VirtioDevice, EventHandler {
    enum Feature {
        static let statistics: UInt64 = 1 << 1
        static let deflateOnOutOfMemory: UInt64 = 1 << 2
        static let hinting: UInt64 = 1 << 3
        static let reporting: UInt64 = 1 << 5
    }

    enum Token {
        static let inflate: UInt32 = 0
        static let deflate: UInt32 = 1
        static let statistics: UInt32 = 2
        static let hinting: UInt32 = 3
        static let reporting: UInt32 = 4
        static let timer: UInt32 = 5
    }

    static let queueSize: UInt16 = 128
    private static let pagesPerMebibyte: UInt32 = 256

    struct Service: ~Copyable {
        let memory: GuestMemory
        let interrupt: InterruptLine
        let doorbells: [Doorbell]
        let hasStatistics: Bool
        let hasHinting: Bool
        let hasReporting: Bool
        var inflate: SplitQueue
        var deflate: SplitQueue
        var statistics: SplitQueue?
        var hinting: SplitQueue?
        var reporting: SplitQueue?
        let hintingDoorbell: Doorbell?
        let reportingDoorbell: Doorbell?
        /// The statistics buffer that the guest has left with us.
        var statisticsHead: UInt16?
        var registrations: [(EventRegistration, Int32)] = []
    }

    public let loop: EventLoop
    public let metrics = BalloonMetrics()
    private let isDeflatingOnOutOfMemory: Bool
    private let isHintingFreePages: Bool
    private let isReportingFreePages: Bool
    /// Whether it was zero never changes. Of the loop's thread after `init`.
    private var statisticsIntervalSeconds: UInt32
    private let hasStatistics: Bool
    private let timer: TimerFile

    private let targetPages: Atomic<UInt32>
    private let actualPages = Atomic<UInt32>(0)

    /// What the guest is to do about free pages, and how far it says to be.
    let hints = HintCommands()

    var service: Service?
    var isBroken = false
    var vectors = IOVectorList(capacity: 256)
    /// What the guest said last; nil before that. Of the loop's thread.
    public internal(set) var statistics: BalloonStatistics?

    /// - Parameter statisticsIntervalSeconds: how often the guest is asked for its figures; zero: never.
    public init(
        targetMebibytes: UInt32, isDeflatingOnOutOfMemory: Bool, statisticsIntervalSeconds: UInt32 = 0,
        isHintingFreePages: Bool = false, isReportingFreePages: Bool = false, loop: EventLoop
    ) throws(LinuxError) {
        self.loop = loop
        self.isDeflatingOnOutOfMemory = isDeflatingOnOutOfMemory
        self.isHintingFreePages = isHintingFreePages
        self.isReportingFreePages = isReportingFreePages
        self.statisticsIntervalSeconds = statisticsIntervalSeconds
        hasStatistics = statisticsIntervalSeconds > 0
        timer = try TimerFile()
        let (pages, overflow) = targetMebibytes.multipliedReportingOverflow(by: Self.pagesPerMebibyte)
        targetPages = Atomic(overflow ? .max : pages)
    }

    public var kind: VirtioDeviceKind { .balloon }

    public var maximumQueueSizes: [UInt16] {
        Array(
            repeating: Self.queueSize,
            count: 2 + (hasStatistics ? 1 : 0) + (isHintingFreePages ? 1 : 0) + (isReportingFreePages ? 1 : 0))
    }

    public var offeredFeatures: UInt64 {
        QueueFeatures.all | (hasStatistics ? Feature.statistics : 0)
            | (isDeflatingOnOutOfMemory ? Feature.deflateOnOutOfMemory : 0)
            | (isHintingFreePages ? Feature.hinting : 0) | (isReportingFreePages ? Feature.reporting : 0)
    }

    // MARK: The host's side

    /// How much the balloon is to hold. Any thread; the guest is told at once and follows as it can.
    public func setTarget(mebibytes: UInt32) {
        let (pages, overflow) = mebibytes.multipliedReportingOverflow(by: Self.pagesPerMebibyte)
        targetPages.store(overflow ? .max : pages, ordering: .releasing)
        loop.perform { [self] in service?.interrupt.signalConfigurationChange() }
    }

    /// Whether a driver serves the balloon. Any thread.
    public var isActive: Bool {
        var isActive = false
        loop.perform { [self] in isActive = service != nil }
        return isActive
    }

    /// What the guest said last of its memory. Any thread.
    public var lastStatistics: BalloonStatistics? {
        var figures: BalloonStatistics?
        loop.perform { [self] in figures = statistics }
        return figures
    }

    /// How often the guest is asked for its figures, for a balloon that has some. Any thread.
    public func setStatisticsInterval(seconds: UInt32) {
        guard hasStatistics, seconds > 0 else { return }
        loop.perform { [self] in
            statisticsIntervalSeconds = seconds
            let interval = UInt64(seconds) * 1_000_000_000
            if service?.hasStatistics == true {
                try? timer.arm(firstNanoseconds: interval, intervalNanoseconds: interval)
            }
        }
    }

    /// What the balloon is to hold, in pages of 4 KiB.
    public var target: UInt32 { targetPages.load(ordering: .acquiring) }

    /// What the balloon holds, by the guest's word.
    public var actual: UInt32 { actualPages.load(ordering: .acquiring) }

    // MARK: The driver's side

    /// num_pages (4 bytes), actual (4), free_page_hint_cmd_id (4), the rest zero. Source: virtio 1.3 §5.5.4.
    public func readConfiguration(offset: UInt32, width: UInt32) -> UInt32 {
        var answer = ConfigurationAnswer(offset: offset, width: width)
        answer.place(UInt64(target), at: 0, width: 4)
        answer.place(UInt64(actual), at: 4, width: 4)
        answer.place(UInt64(hints.host), at: 8, width: 4)
        return answer.value
    }

    public func writeConfiguration(offset: UInt32, width: UInt32, value: UInt32) {
        if offset == 4 && width == 4 { actualPages.store(value, ordering: .releasing) }
    }

    public func activate(_ activation: DeviceActivation) throws(QueueError) {
        // A restored guest does not say again what it holds.
        let held = actual
        reset()
        actualPages.store(held, ordering: .releasing)
        let features = activation.acceptedFeatures
        let queues = activation.queues
        func queue(_ index: Int) throws(QueueError) -> SplitQueue? {
            guard index < queues.count, let queue = queues[index] else { return nil }
            return try SplitQueue(
                validating: queue.layout, memory: activation.memory, maximumSize: Self.queueSize,
                acceptedFeatures: features, position: queue.position)
        }
        guard let inflate = try queue(0), let deflate = try queue(1) else { throw .queueNotReady }
        // Queues that were not negotiated are not counted, as drivers number them.
        let hasStatistics = features & Feature.statistics != 0
        let hintingIndex = hasStatistics ? 3 : 2
        let hasHinting = features & Feature.hinting != 0
        let reportingIndex = hasHinting ? hintingIndex + 1 : hintingIndex
        let hasReporting = features & Feature.reporting != 0
        service = Service(
            memory: activation.memory, interrupt: activation.interrupt,
            doorbells: queues.compactMap { $0?.doorbell }, hasStatistics: hasStatistics,
            hasHinting: hasHinting, hasReporting: hasReporting,
            inflate: inflate, deflate: deflate,
            statistics: hasStatistics ? try queue(2) : nil,
            hinting: hasHinting ? try queue(hintingIndex) : nil,
            reporting: hasReporting ? try queue(reportingIndex) : nil,
            hintingDoorbell: hasHinting ? queues[hintingIndex]?.doorbell : nil,
            reportingDoorbell: hasReporting ? queues[reportingIndex]?.doorbell : nil)
        isBroken = false
        watch(queues[0], Token.inflate)
        watch(queues[1], Token.deflate)
        if hasStatistics { watch(queues[2], Token.statistics) }
        if hasHinting { watch(queues[hintingIndex], Token.hinting) }
        if hasReporting { watch(queues[reportingIndex], Token.reporting) }
        if hasStatistics { watchTimer() }
        for token in Token.inflate...Token.reporting { handleEvent(token: token, readiness: .readable) }
    }

    private func watch(_ queue: QueueActivation?, _ token: UInt32) {
        guard let number = queue?.doorbell.event.descriptor.number else { return }
        if let registration = try? loop.add(number, [.readable, .edgeTriggered], handler: self, token: token) {
            service?.registrations.append((registration, number))
        }
    }

    private func watchTimer() {
        let number = timer.descriptor.number
        if let registration = try? loop.add(number, .readable, handler: self, token: Token.timer) {
            service?.registrations.append((registration, number))
            let interval = UInt64(statisticsIntervalSeconds) * 1_000_000_000
            try? timer.arm(firstNanoseconds: interval, intervalNanoseconds: interval)
        }
    }

    public func reset() {
        actualPages.store(0, ordering: .releasing)
        hints.forgetGuest()
        guard let service = service.take() else { return }
        for (registration, descriptor) in service.registrations { loop.remove(registration, descriptor) }
        try? timer.arm(firstNanoseconds: 0)
    }

    /// The statistics buffer goes back; the guest fills it again.
    public func settle() {
        guard let interrupt = service?.interrupt else { return }
        if askForStatistics() { interrupt.signalUsedBuffers() }
    }

    public var queuePositions: [QueuePosition?] {
        var positions: [QueuePosition?] = [service?.inflate.position, service?.deflate.position]
        if service?.hasStatistics == true { positions.append(service?.statistics?.position) }
        if service?.hasHinting == true { positions.append(service?.hinting?.position) }
        if service?.hasReporting == true { positions.append(service?.reporting?.position) }
        while positions.count < maximumQueueSizes.count { positions.append(nil) }
        return positions
    }

    /// What the balloon is to hold and what it holds, in pages; and what a guest that hints at free pages was told last.
    public var ownState: [UInt64]? {
        [UInt64(target), UInt64(actual)] + (isHintingFreePages ? [UInt64(hints.host)] : [])
    }

    public func restore(ownState: [UInt64]) throws(DeviceStateError) {
        guard ownState.count == (isHintingFreePages ? 3 : 2), let target = UInt32(exactly: ownState[0]),
            let actual = UInt32(exactly: ownState[1])
        else { throw .malformed }
        if isHintingFreePages {
            guard let command = UInt32(exactly: ownState[2]) else { throw .malformed }
            hints.restore(host: command)
        }
        targetPages.store(target, ordering: .releasing)
        actualPages.store(actual, ordering: .releasing)
    }

    public func handleEvent(token: UInt32, readiness: Readiness) {
        guard !isBroken, let interrupt = service?.interrupt else { return }
        do throws(QueueError) {
            let isInterruptWanted: Bool
            switch token {
            case Token.inflate: isInterruptWanted = try inflate()
            case Token.deflate: isInterruptWanted = try deflate()
            case Token.statistics: isInterruptWanted = try takeStatistics()
            case Token.hinting: isInterruptWanted = try takeHints()
            case Token.reporting: isInterruptWanted = try takeReports()
            default:
                timer.drain()
                isInterruptWanted = askForStatistics()
            }
            if isInterruptWanted { interrupt.signalUsedBuffers() }
        } catch {
            metrics.queueFaults.add()
            isBroken = true
            interrupt.signalNeedsReset()
        }
    }
}
