import GuestMemory
import LinuxCalls

/// Copies pages for the guest while it already runs: a piece at a time, between the loop's other events.
final class Prefault: EventHandler {
    /// On a host with one processor the guest's first instruction would wait for the first pieces otherwise.
    private static let delayNanoseconds: UInt64 = 1_000_000
    private static let pieceBytes = 64 * GuestMemory.pageBytes

    private let memory: GuestMemory
    private let loop: EventLoop
    /// Nobody drains it: once it has fired, the loop comes back here until all is copied.
    private let timer: TimerFile
    private var registration: EventRegistration?
    /// The next one last.
    private var ranges: [GuestRange]

    /// The loop owns what this makes, until all is copied.
    static func start(_ ranges: [GuestRange], of memory: GuestMemory, on loop: EventLoop) throws(LinuxError) {
        let prefault = try Prefault(ranges.reversed(), memory, loop)
        prefault.registration = try loop.add(prefault.timer.descriptor.number, .readable, handler: prefault)
        try prefault.timer.arm(firstNanoseconds: delayNanoseconds)
    }

    private init(_ ranges: [GuestRange], _ memory: GuestMemory, _ loop: EventLoop) throws(LinuxError) {
        self.ranges = ranges
        self.memory = memory
        self.loop = loop
        timer = try TimerFile()
    }

    func handleEvent(token: UInt32, readiness: Readiness) {
        guard let range = ranges.popLast() else {
            if let registration { loop.remove(registration, timer.descriptor.number) }
            return
        }
        // To the end of a page, for only whole ones are copied.
        let count = min(range.lengthBytes, Self.pieceBytes - range.start.value % GuestMemory.pageBytes)
        memory.prefault(range.start, lengthBytes: count)
        if count < range.lengthBytes, let next = range.start.advanced(by: count) {
            ranges.append(GuestRange(start: next, lengthBytes: range.lengthBytes - count))
        }
    }
}
