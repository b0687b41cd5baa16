import AgentClient
import AgentProtocol
import LinuxCalls
import Synchronization

/// What of a machine's disk this computer could not read or write: its file was cut off, its own disk fails or is full. What
/// the guest asked for there was an input/output error to it.
///
/// Trust: the monitor's word.
public struct DiskFailure: Codable, Equatable, Sendable {
    /// As the monitor calls it: `root` is the image's disk.
    public var drive: String
    /// Which file it is, and why it failed.
    public var reason: String
    /// Where, from the beginning of the disk.
    public var byte: UInt64
    /// When, since 1970.
    public var seconds: Int64

    /// - Parameter line: what the monitor wrote to its standard error. Source: `DeviceAssembly.block` of the monitor.
    /// - Returns: nil for everything else that it writes.
    init?(monitorLine line: some StringProtocol, atSeconds seconds: Int64) {
        let head = "swiftlet-vmm: drive \"", tail = " of the drive; the guest is told, "
        guard line.hasPrefix(head) else { return nil }
        let text = line.dropFirst(head.count)
        // A path may hold any words: what the monitor says behind it is found from the end.
        guard let nameEnd = text.firstRange(of: "\", "), let end = text.ranges(of: tail).last else { return nil }
        let rest = text[nameEnd.upperBound..<max(nameEnd.upperBound, end.lowerBound)]
        guard let place = rest.ranges(of: " at byte ").last, let byte = UInt64(rest[place.upperBound...]) else {
            return nil
        }
        drive = String(text[..<nameEnd.lowerBound])
        reason = String(rest[..<place.lowerBound])
        self.byte = byte
        self.seconds = seconds
    }

    /// Whether it is the image's disk.
    var isOfImage: Bool { drive == "root" }

    /// For people.
    func message(image: String) -> String {
        guard isOfImage else {
            return
                "the machine's disk \(drive) cannot be read or written at byte \(byte), and the machine got an input/output error (\(reason)). See that its file is whole and that there is room on this computer's disk"
        }
        return
            "the disk of the image \"\(image)\" cannot be read at byte \(byte), and the machine got an input/output error (\(reason)). See what else is gone (swiftlet image verify \(image)), then pull, load or import it again, which mends it"
    }
}

/// Takes what a monitor writes, hands it on, and keeps what it says of disks that fail.
///
/// Trust: only what comes on standard error is the monitor's; its standard output is the guest's console.
final class DiskFailureWatch: OutputSink {
    /// More lines than a monitor with its drives has to say; what it goes on with is nobody's news.
    fileprivate static let mostFailures = 64
    fileprivate static let mostLineBytes = 8 << 10

    fileprivate struct State {
        var line: [UInt8] = []
        var isLineTooLong = false
        var failures: [DiskFailure] = []
        var count = 0
    }

    private let next: any OutputSink
    private let event: SharedEvent
    private let state = Mutex(State())

    init(_ next: any OutputSink) throws(LinuxError) {
        self.next = next
        event = try SharedEvent()
    }

    /// Readable when there is something to take.
    var descriptor: Int32 { event.descriptor }

    /// What was told since the last time.
    func take() -> [DiskFailure] {
        event.drain()
        return state.withLock { state in
            defer { state.failures = [] }
            return state.failures
        }
    }

    func write(_ bytes: Span<UInt8>, from stream: ProcessStream) -> Bool {
        if stream == .standardError {
            let isNews = state.withLock { state in
                let before = state.count
                for index in bytes.indices { state.take(bytes[index]) }
                return state.count != before
            }
            if isNews { event.signal() }
        }
        return next.write(bytes, from: stream)
    }
}

extension DiskFailureWatch.State {
    fileprivate mutating func take(_ byte: UInt8) {
        guard byte == UInt8(ascii: "\n") else {
            if line.count < DiskFailureWatch.mostLineBytes { line.append(byte) } else { isLineTooLong = true }
            return
        }
        defer { (line, isLineTooLong) = ([], false) }
        guard !isLineTooLong, count < DiskFailureWatch.mostFailures else { return }
        let seconds = Int64(Clock.realTime.nanoseconds() / 1_000_000_000)
        guard let failure = DiskFailure(monitorLine: String(decoding: line, as: UTF8.self), atSeconds: seconds) else {
            return
        }
        failures.append(failure)
        count += 1
    }
}
