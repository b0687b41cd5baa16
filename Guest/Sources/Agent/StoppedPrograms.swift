import AgentProtocol
import LinuxCalls

/// User programs that stand still, or are about to.
protocol StoppedPrograms: AnyObject {
    /// Goes on with stopping; how many processes stand still, or nil while some still move.
    func proceed() -> Int?
    /// Lets all go on that this has stopped. Those that stood still before stay as they are.
    func letGo()
}

/// What the kernel says of a process. Source: proc_pid_stat(5).
struct ProcessFacts {
    /// `R`, `S`, `D`, `T` (stopped), `t` (by a debugger), `Z`, `X`.
    var state: UInt8
    var session: Int32
    /// Threads of the kernel's own, which are nobody's program.
    var isKernelThread: Bool

    /// Nil when there is no such process (any more).
    init?(_ process: Int32) {
        let path = "/proc/" + ByteString(UInt32(bitPattern: process)) + "/stat"
        guard let file = try? FileTree.open(path.bytes, .readOnly),
            let text = try? FileTree.contents(file.number, maximumBytes: 4096),
            // The name before it may hold anything.
            let end = text.lastIndex(of: UInt8(ascii: ")")), end + 2 < text.count
        else { return nil }
        let fields = ByteString(text[(end + 2)...]).split(0x20)
        guard fields.count > 6 else { return nil }
        state = fields[0].bytes.first ?? 0
        session = fields[3].number ?? 0
        // PF_KTHREAD
        isKernelThread = (fields[6].number ?? 0) & 0x0020_0000 != 0
    }

    /// Every process that there is.
    static func all() -> [Int32] {
        guard let folder = try? FileTree.open(ByteString("/proc").bytes, [.readOnly, .directory]),
            let names = try? FileTree.names(in: folder.number)
        else { return [] }
        return names.compactMap { ByteString($0).number }
    }
}

extension ByteString {
    /// A number in decimal digits and nothing else.
    var number: Int32? {
        guard !isEmpty, count <= 10 else { return nil }
        var value: Int64 = 0
        for byte in bytes {
            guard (0x30...0x39).contains(byte) else { return nil }
            value = value * 10 + Int64(byte - 0x30)
        }
        // Flags use the highest bit.
        return value <= 0xffff_ffff ? Int32(truncatingIfNeeded: value) : nil
    }
}
