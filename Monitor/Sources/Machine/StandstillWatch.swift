import LinuxCalls

/// Finds a guest that has halted for good: every processor waits with interrupts off, so nothing will ever wake it.
///
/// KVM keeps halted processors to itself, so this looks now and then: only when the processors have used no time since the
/// last look, and ever more rarely while a guest merely sleeps. Examining takes each processor out of its guest once.
final class StandstillWatch: EventHandler {
    private static let shortestNanoseconds: UInt64 = 1_000_000_000
    private static let longestNanoseconds: UInt64 = 16_000_000_000

    private let timer: TimerFile
    private let processors: [ProcessorThread]
    private let found: () -> Void
    private var intervalNanoseconds = shortestNanoseconds
    private var usedNanoseconds: UInt64 = 0
    private var isExamining = false
    private var isKnownToSleep = false
    private var looks: UInt32 = 0

    init(_ loop: EventLoop, _ processors: [ProcessorThread], found: @escaping () -> Void) throws(LinuxError) {
        self.processors = processors
        self.found = found
        timer = try TimerFile()
        _ = try loop.add(timer.descriptor.number, .readable, handler: self)
        try timer.arm(firstNanoseconds: intervalNanoseconds)
    }

    func handleEvent(token: UInt32, readiness: Readiness) {
        timer.drain()
        if isExamining { judge() } else { look() }
        try? timer.arm(firstNanoseconds: isExamining ? Self.shortestNanoseconds / 10 : intervalNanoseconds)
    }

    private func look() {
        looks &+= 1
        // What the machine's threads began with, what the guest's drivers did, and a connection once in a while: at ever longer
        // intervals, as what is called all the time comes back at once.
        if looks & (looks &- 1) == 0 { releaseProgramCode() }
        var used: UInt64 = 0
        for processor in processors { used &+= processor.usedNanoseconds }
        // A sleeping guest's processors still use a little; an examination costs less than this.
        let isIdle = used &- usedNanoseconds < 1_000_000
        usedNanoseconds = used
        guard isIdle else {
            isKnownToSleep = false
            intervalNanoseconds = Self.shortestNanoseconds
            return
        }
        guard !isKnownToSleep else {
            intervalNanoseconds = min(intervalNanoseconds * 2, Self.longestNanoseconds)
            return
        }
        isExamining = true
        for processor in processors { processor.examine() }
    }

    private func judge() {
        isExamining = false
        for processor in processors where processor.isStuck != true {
            isKnownToSleep = true
            // What the guest's start has used of the program; a guest that sleeps needs little.
            releaseProgramCode()
            return
        }
        found()
    }
}
