import AgentClient
import HostFiles
import LinuxCalls
import Synchronization

/// Watches for the moment of which a live snapshot will be, on a thread of its own: what happens in the machine afterwards is
/// not in it, however long it is being written.
///
/// The monitor fills the state file while the machine stands still. Source: Documentation/monitor-configuration.md.
final class LiveSnapshotWatch: Sendable {
    private static let lookMilliseconds: UInt64 = 1

    private let isOver = Atomic<Bool>(false)
    private let done: SharedEvent

    /// - Parameter whenTaken: called on the watch's thread, once, unless it is ended before.
    init(_ folder: HostPath, whenTaken: @escaping @Sendable () -> Void) throws(LinuxError) {
        done = try SharedEvent()
        let state = folder.appending(SnapshotRecord.stateName + ".partial")
        try startThread(stackBytes: 512 << 10) { [self] in
            while !isOver.load(ordering: .acquiring) {
                if let status = try? state.status(), status.sizeBytes > 0 {
                    whenTaken()
                    break
                }
                sleep(nanoseconds: Self.lookMilliseconds * 1_000_000)
            }
            done.signal()
        }
    }

    /// Returns when the thread does nothing any more.
    func end() {
        isOver.store(true, ordering: .releasing)
        _ = waitUntilReadable(done.descriptor, until: .never)
    }
}
