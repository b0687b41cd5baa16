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

/// Tells the meter about every byte that is read or passed over.
final class MeteredByteSource: ByteSource {
    private let source: any ByteSource
    private let meter: ImportMeter

    init(_ source: any ByteSource, _ meter: ImportMeter) {
        self.source = source
        self.meter = meter
    }

    func read(into buffer: inout [UInt8]) throws(ArchiveError) -> Int {
        let count = try source.read(into: &buffer)
        meter.add(UInt64(count))
        return count
    }

    func skip(_ count: UInt64) throws(ArchiveError) -> UInt64 {
        let skipped = try source.skip(count)
        meter.add(skipped)
        return skipped
    }
}
