import Archives
import LinuxCalls

/// Counts what an import has done and tells it about ten times a second.
final class ImportMeter {
    private let report: (ImportProgress) -> Void
    private var nextReport: UInt64 = 0
    private var phase = ImportProgress.Phase.reading
    private var bytesDone: UInt64 = 0
    private var bytesTotal: UInt64?
    var entries = 0

    init(_ report: @escaping (ImportProgress) -> Void) { self.report = report }

    func begin(_ phase: ImportProgress.Phase, bytesTotal: UInt64?) {
        (self.phase, self.bytesTotal, bytesDone) = (phase, bytesTotal, 0)
        tell()
    }

    func add(_ bytes: UInt64) { set(bytesDone &+ bytes) }

    func set(_ bytes: UInt64) {
        bytesDone = bytes
        if Clock.monotonic.nanoseconds() >= nextReport { tell() }
    }

    private func tell() {
        nextReport = Clock.monotonic.nanoseconds() + 100_000_000
        report(ImportProgress(phase: phase, bytesDone: bytesDone, bytesTotal: bytesTotal, entries: entries))
    }
}
