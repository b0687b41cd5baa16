import AgentClient
import HostFiles
import LinuxCalls
import SettingsFloppy

/// Has a machine take the settings from before when those that were to be confirmed were not.
///
/// The floppy goes back by itself: its generation counts until its time is over. This only tells the guest, on a thread of the
/// machine's owner, so that nobody else need be alive. It looks at the floppy once a second.
final class SettingsWatch: Sendable {
    private static let stackBytes = 512 << 10
    private static let endMilliseconds: UInt64 = 90_000
    private let floppy: HostPath
    private let expire: @Sendable () -> Void
    private let stop: SharedEvent
    private let done: SharedEvent

    /// - Parameter expire: called on this watch's thread when the time of a generation is over.
    init(_ floppy: String, expire: @escaping @Sendable () -> Void) throws(LinuxError) {
        self.floppy = HostPath(floppy)
        self.expire = expire
        stop = try SharedEvent()
        done = try SharedEvent()
        try startThread(stackBytes: Self.stackBytes) { [self] in
            run()
            done.signal()
        }
    }

    func end() {
        stop.signal()
        _ = waitUntilReadable(done.descriptor, until: Deadline(afterMilliseconds: Self.endMilliseconds))
    }

    private func run() {
        var pending: GenerationHeader?
        while !waitUntilReadable(stop.descriptor, until: Deadline(afterMilliseconds: 1000)) {
            let now = Clock.realTime.nanoseconds() / 1_000_000_000
            if let waiting = pending, let deadline = waiting.deadlineSeconds, now >= deadline {
                pending = nil
                // Confirmed in the last second, or followed by another: it did not run out.
                if current(atSeconds: deadline - 1)?.deadlineSeconds == deadline { expire() }
            }
            guard let header = current(atSeconds: now) else { continue }
            pending = header.deadlineSeconds == nil ? nil : header
        }
    }

    private func current(atSeconds now: UInt64) -> GenerationHeader? {
        guard let file = try? HostFile(floppy) else { return nil }
        return SettingsReader.current(atSeconds: now) { first, count in
            var bytes = [UInt8](repeating: 0, count: count * FAT12Volume.sectorBytes)
            let offset = UInt64(first * FAT12Volume.sectorBytes)
            let length = (try? file.read(bytes.count, at: offset, into: &bytes)) ?? 0
            bytes.removeLast(bytes.count - length)
            return bytes
        }?.header
    }
}
