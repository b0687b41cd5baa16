import Glibc
import KVMHost
import LinuxCalls
import Synchronization

/// Finds out in milliseconds whether KVM runs kernel-mode guest code at full speed.
///
/// A tiny guest counts down in kernel mode, at most 10,000 instructions. Hardware needs microseconds for it. A software KVM,
/// as some hosting environments have it, emulates each instruction (about 1 µs), and is of no use for a guest kernel.
public enum KVMProbe {
    /// Slower than any hardware, and faster than any emulation of single instructions: even an emulated processor that
    /// has virtualisation takes below 20 ns.
    static let limitPicoseconds = 200_000
    /// The slowest software KVM seen needs 12 ms; a loaded machine some times that.
    static let patienceNanoseconds: UInt64 = 1_000_000_000

    /// Costs about 10 ms on a software KVM, and little more than making a virtual machine on hardware. Never hangs: a guest that does not end is left
    /// to its thread, out of the guest.
    public static func verdict() -> KVMVerdict {
        switch unsafe access("/dev/kvm", F_OK) == 0 ? access("/dev/kvm", R_OK | W_OK) : -2 {
        case -2: return .missing(processorHasVirtualisation: processorHasVirtualisation())
        case -1: return .notPermitted(group: ownerGroup("/dev/kvm"))
        default: return runCalibration()
        }
    }

    private static func runCalibration() -> KVMVerdict {
        let trial: Trial
        do {
            trial = Trial(finished: try EventFile())
            try startThread { trial.run() }
        } catch {
            return .broken("\(error)")
        }
        if wait(for: trial.finished.descriptor.number, nanoseconds: patienceNanoseconds) == false {
            trial.kick()
            // The kick makes even a guest that loops leave; a kernel that ignores it keeps its thread.
            _ = wait(for: trial.finished.descriptor.number, nanoseconds: patienceNanoseconds)
            return .hangs
        }
        let verdict = trial.outcome.withLock { $0 } ?? .hangs
        if case .emulatesKernelMode = verdict, processorIsEmulated() { return .processorIsEmulated }
        return verdict
    }

    private static func wait(for descriptor: Int32, nanoseconds: UInt64) -> Bool {
        var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        let end = Clock.monotonic.nanoseconds() + nanoseconds
        while true {
            let now = Clock.monotonic.nanoseconds()
            let left = end > now ? Int32((end - now + 999_999) / 1_000_000) : 0
            // SAFETY: the kernel fills one structure during the call.
            let result = unsafe poll(&waiting, 1, left)
            if result >= 0 { return result == 1 }
        }
    }

    /// Whether this machine's processor is itself software: QEMU's, as in an emulated host. Its virtualisation is no
    /// slower than the rest of it; only on a loaded machine does it seem so.
    static func processorIsEmulated(_ information: String? = TextFile.read("/proc/cpuinfo")) -> Bool {
        for line in (information ?? "").split(separator: "\n") where line.hasPrefix("model name") {
            return line.contains("QEMU TCG")
        }
        return false
    }

    /// Whether the first processor's flags name Intel's or AMD's virtualisation.
    static func processorHasVirtualisation(_ information: String? = TextFile.read("/proc/cpuinfo")) -> Bool {
        for line in (information ?? "").split(separator: "\n") where line.hasPrefix("flags") {
            return line.split(separator: " ").contains { $0 == "vmx" || $0 == "svm" }
        }
        return false
    }

    /// The name of the group that a file belongs to, when the group may write it.
    static func ownerGroup(_ path: String) -> String? {
        var status = stat()
        // SAFETY: the kernel fills the structure during the call.
        guard unsafe stat(path, &status) == 0, status.st_mode & 0o020 != 0 else { return nil }
        for line in (TextFile.read("/etc/group") ?? "").split(separator: "\n") {
            let fields = line.split(separator: ":", omittingEmptySubsequences: false)
            if fields.count >= 3, fields[2] == "\(status.st_gid)" { return String(fields[0]) }
        }
        return nil
    }
}

/// The calibration on its own thread, which owns the guest.
private final class Trial: Sendable {
    let finished: EventFile
    let outcome = Mutex<KVMVerdict?>(nil)
    private let kicking = Mutex<(kick: ProcessorKick, thread: Int32)?>(nil)

    init(finished: consuming EventFile) { self.finished = finished }

    func run() {
        let verdict: KVMVerdict
        do throws(KVMError) {
            verdict = try CalibrationGuest.run { kick in
                kicking.withLock { $0 = kick.map { ($0, currentThreadNumber()) } }
            }
        } catch {
            verdict = .broken("\(error)")
        }
        outcome.withLock { $0 = verdict }
        finished.signal()
    }

    /// Takes the processor out of its guest, if it is in there.
    func kick() {
        try? letSignalInterrupt(SignalNumber.user1)
        kicking.withLock { $0?.kick.request(thread: $0?.thread ?? 0, signalNumber: SignalNumber.user1) }
    }
}
