public import AgentProtocol
import FileTransfer
public import LinuxCalls

/// Other programs, run to their end or started to stay.
///
/// All signals must be blocked, as `Children` wants it.
public enum Programs {
    /// How one ended, and what it wrote.
    public struct Outcome: Sendable {
        public var hasSucceeded: Bool
        public var output: ByteString
        /// The beginning of what it complained of, one line.
        public var complaint: ByteString
    }

    private static let environment: [[UInt8]] = [ByteString("PATH=/usr/sbin:/usr/bin:/sbin:/bin").bytes]
    private static let mostOutputBytes = 256 << 10

    /// Starts one that stays; its output and what it complains of are this program's, unless other places are given.
    public static func start(
        _ arguments: [ByteString], output place: Int32 = 1, errors: Int32 = 2
    ) throws(LinuxError) -> Int32 {
        let null = try FileTree.open(ByteString("/dev/null").bytes, .readOnly)
        let output = try copy(of: place)
        let errors = try copy(of: errors)
        return try start(arguments, null.number, output.number, errors.number)
    }

    private static func start(
        _ arguments: [ByteString], _ input: Int32, _ output: Int32, _ errors: Int32
    ) throws(LinuxError) -> Int32 {
        do throws(ChildFailure) {
            return try Children.start(
                ChildCommand(
                    candidates: [arguments[0].bytes], arguments: arguments.map { $0.bytes }, environment: environment,
                    standardDescriptors: (input, output, errors)))
        } catch { throw error.error }
    }

    /// Runs one, gives it its standard input, and waits.
    /// - Parameter patienceNanoseconds: after which it is killed; nil: never.
    public static func run(
        _ arguments: [ByteString], input: ByteString = "", patienceNanoseconds: UInt64? = nil
    ) -> Outcome {
        do throws(LinuxError) { return try runToEnd(arguments, input, patienceNanoseconds) } catch {
            return Outcome(hasSucceeded: false, output: "", complaint: arguments[0] + ": " + error.text)
        }
    }

    private static func runToEnd(
        _ arguments: [ByteString], _ input: ByteString, _ patienceNanoseconds: UInt64?
    ) throws(LinuxError) -> Outcome {
        // Files in memory, so that neither side ever waits for the other.
        let given = try memoryFile(name: "", lengthBytes: 0)
        let output = try memoryFile(name: "", lengthBytes: 0)
        let errors = try memoryFile(name: "", lengthBytes: 0)
        try writeAll(given.number, input.bytes)
        try rewindFile(given.number)
        let process = try start(arguments, given.number, output.number, errors.number)
        let end: ChildEnd
        if let patienceNanoseconds {
            guard let inTime = try Children.wait(for: process, patienceNanoseconds: patienceNanoseconds) else {
                throw .timedOut
            }
            end = inTime
        } else {
            end = try Children.wait(for: process)
        }
        let text = ByteString(try readBytes(errors.number, offset: 0, count: 1024).prefix { $0 != 0x0a })
        return Outcome(
            hasSucceeded: end == .exited(0),
            output: ByteString(try readBytes(output.number, offset: 0, count: mostOutputBytes)[...]), complaint: text)
    }

    /// Beyond the three that a child's are copied to. F_DUPFD_CLOEXEC. Source: fcntl(2).
    private static func copy(of descriptor: Int32) throws(LinuxError) -> FileDescriptor {
        FileDescriptor(owning: try fileControl(descriptor, 1030, 3))
    }
}
