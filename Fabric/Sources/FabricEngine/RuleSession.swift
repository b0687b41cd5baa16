import AgentProtocol
import LinuxCalls

/// One `nft` that is kept running in the network namespace of who makes it: its start takes longer than most changes do.
///
/// It is interactive. For each change it is given two lines: one has it read the whole change from a file in memory, which makes it one
/// transaction as `nft -f` does; the other is no command, of which it complains. What it says before that it has against the change. It
/// compares what it remembers of the rules with the kernel's number of their generation each time, so others may change them, too.
///
/// It ends when its standard input does: with who has made it, however that one ends. Source: nft(8).
final class RuleSession {
    private final class Running {
        let process: Int32
        /// Its standard input, and what it complains of.
        let socket: FileDescriptor
        var changes = 0

        init(_ process: Int32, _ socket: consuming FileDescriptor) {
            self.process = process
            self.socket = socket
        }
    }

    private static let program: ByteString = "/usr/sbin/nft"
    /// It keeps a history of its lines; so it is another one after so many.
    private static let mostChanges = 1000
    private static let mostSaidBytes = 64 << 10
    /// A program that has not made its first change, so often in a row, is none that can be kept: it was built without this mode.
    private static let mostFruitless = 3

    private let patienceMilliseconds: UInt64
    private let change: FileDescriptor
    private var running: Running?
    private var fruitless = 0

    /// - Parameter patienceMilliseconds: how long a change may take before the program is ended.
    init(patienceMilliseconds: UInt64 = Rules.patienceNanoseconds / 1_000_000) throws(LinuxError) {
        self.patienceMilliseconds = patienceMilliseconds
        change = try memoryFile(name: "rules", lengthBytes: 0)
    }

    deinit { end() }

    /// The one that runs now.
    var process: Int32? { running?.process }

    /// Makes a change, whose text makes the same of the rules however often it is read.
    /// - Returns: whether it was made. Otherwise it was not, or that is not known: the program has ended then, and a fresh one is to be
    ///   asked, whose word counts.
    func set(_ text: String) -> Bool {
        if let running, running.changes >= Self.mostChanges { end() }
        if running == nil, !start() { return false }
        guard let running else { return false }
        running.changes += 1
        if (try? isMade(text, by: running)) == true {
            fruitless = 0
            return true
        }
        if running.changes == 1 { fruitless += 1 }
        end()
        return false
    }

    /// A process has ended, and its parent has heard of that.
    /// - Returns: whether it was this one.
    func ended(_ process: Int32) -> Bool {
        guard running?.process == process else { return false }
        running = nil
        return true
    }

    func end() {
        guard let running else { return }
        self.running = nil
        try? Children.signal(running.process, SignalNumber.kill)
        _ = try? Children.wait(for: running.process)
    }

    private func start() -> Bool {
        if fruitless >= Self.mostFruitless { return false }
        do throws(LinuxError) {
            let pair = try StreamSocket.pair()
            try setNonBlocking(pair.first.number, false)
            try setNonBlocking(pair.second.number, false)
            try setTimeouts(pair.first.number, milliseconds: patienceMilliseconds)
            let null = try open("/dev/null", .writeOnly)
            let process: Int32
            do throws(ChildFailure) {
                process = try Children.start(
                    ChildCommand(
                        candidates: [Self.program.bytes], arguments: [Self.program.bytes, ByteString("-i").bytes],
                        environment: [
                            // Where it cannot leave its history.
                            ByteString("HOME=/dev/null").bytes,
                            // It would give memory back after each change, and need as much for the next one. Bytes.
                            ByteString("MALLOC_TRIM_THRESHOLD_=16777216").bytes,
                            ByteString("MALLOC_MMAP_THRESHOLD_=16777216").bytes,
                        ],
                        standardDescriptors: (pair.second.number, null.number, pair.second.number)))
            } catch { throw error.error }
            running = Running(process, try pair.first.duplicate())
            return true
        } catch {
            fruitless += 1
            return false
        }
    }

    /// - Returns: whether it has nothing against it.
    private func isMade(_ text: String, by running: Running) throws(LinuxError) -> Bool {
        try changeLength(change.number, lengthBytes: 0)
        try writeAll(change.number, [UInt8](text.utf8), offset: 0)
        let end = "end_of_change_\(running.changes)"
        let lines = "include \"/proc/\(Children.own)/fd/\(change.number)\"\n\(end)\n"
        try writeAll(running.socket.number, lines)
        var said: [UInt8] = []
        let mark = [0x0a] + [UInt8](end.utf8) + [0x0a]
        while said.count < Self.mostSaidBytes {
            let before = max(0, said.count - mark.count)
            guard try read(running.socket.number, appendingTo: &said, maximumBytes: 4096) > 0 else { throw .brokenPipe }
            if let place = Self.place(of: mark, in: said[before...]) { return Self.isNothing(said[..<place]) }
        }
        throw .noBufferSpace
    }

    private static func place(of mark: [UInt8], in said: ArraySlice<UInt8>) -> Int? {
        said.indices.first { said[$0...].starts(with: mark) }
    }

    /// Whether it has said nothing but what it says of the line that is no command, behind what it has shown of the one before: where in
    /// that line the fault is.
    private static func isNothing(_ said: ArraySlice<UInt8>) -> Bool {
        said.split(separator: 0x0a).drop { $0.allSatisfy { $0 == 0x20 || $0 == 0x5e || $0 == 0x7e } }.count == 1
    }
}
