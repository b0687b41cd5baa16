import CSpawning
import Glibc
public import LinuxCalls

extension ChildProcess {
    /// What a program said, and how it ended.
    public struct Output: Sendable {
        public let ending: Ending
        /// Standard output and standard error in the order in which they were written.
        public let text: String

        public var isSuccess: Bool { ending == .exited(0) }
    }

    /// Runs a program to its end and collects what it says, at most `limitBytes` of it. Its input is empty.
    public static func output(of settings: Settings, limitBytes: Int = 1 << 20) throws(LinuxError) -> Output {
        var ends: (reading: Int32, writing: Int32) = (-1, -1)
        // SAFETY: both numbers are filled during the call.
        guard unsafe spawning_pipe(&ends.reading, &ends.writing) == 0 else { throw LinuxError(errno) }
        let reading = FileDescriptor(owning: ends.reading)
        let child: ChildProcess
        do {
            let writing = FileDescriptor(owning: ends.writing)
            var settings = settings
            settings.descriptors[1] = writing.number
            settings.descriptors[2] = writing.number
            child = try ChildProcess(settings)
        }
        var bytes: [UInt8] = []
        var piece: [UInt8] = []
        while let count = try? LinuxCalls.read(reading.number, appendingTo: &piece, maximumBytes: 65536), count > 0 {
            bytes.append(contentsOf: piece.prefix(max(0, limitBytes - bytes.count)))
            piece.removeAll(keepingCapacity: true)
        }
        return Output(ending: child.wait(), text: String(decoding: bytes, as: UTF8.self))
    }
}
