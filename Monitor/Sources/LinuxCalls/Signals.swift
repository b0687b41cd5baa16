import CLinux

/// Signals by their numbers. Source: signal(7).
public enum SignalNumber {
    public static let hangUp: Int32 = 1
    public static let interrupt: Int32 = 2
    public static let quit: Int32 = 3
    public static let kill: Int32 = 9
    public static let user1: Int32 = 10
    public static let badSystemCall: Int32 = 31
    public static let pipe: Int32 = 13
    public static let terminate: Int32 = 15
    public static let child: Int32 = 17
    public static let proceed: Int32 = 18
    public static let stop: Int32 = 19
    /// SIGXFSZ: a file would grow over the process's limit. Where it is ignored, the write fails with EFBIG.
    public static let fileSizeLimit: Int32 = 25
    public static let power: Int32 = 30
    public static let windowChange: Int32 = 28
}

/// Makes a signal do nothing but interrupt the call that its thread is blocked in.
public func letSignalInterrupt(_ signalNumber: Int32) throws(LinuxError) {
    let result = linux_signal_interrupts(signalNumber)
    if result < 0 { throw LinuxError(-result) }
}

/// Ignores a signal from now on.
public func ignoreSignal(_ signalNumber: Int32) throws(LinuxError) {
    let result = linux_signal_ignore(signalNumber)
    if result < 0 { throw LinuxError(-result) }
}

/// From now on ends the process with a line that says why when a page of a mapped file is touched that the file no longer has.
public func reportLostPages() { linux_report_lost_pages() }

/// A set of signals, one bit each, as the kernel has it.
public struct SignalSet: Sendable {
    public private(set) var bits: UInt64 = 0
    public init(_ numbers: Int32...) { for number in numbers { bits |= 1 << UInt64(number - 1) } }
    public init(bits: UInt64) { self.bits = bits }
}

/// Blocks the signals in this thread and those it starts; returns what was blocked before.
@discardableResult
public func blockSignals(_ set: SignalSet) throws(LinuxError) -> SignalSet { try changeSignalMask(0, set) }

/// Lets the signals through in this thread and those it starts; returns what was blocked before.
@discardableResult
public func unblockSignals(_ set: SignalSet) throws(LinuxError) -> SignalSet { try changeSignalMask(1, set) }

/// Replaces the set of blocked signals of this thread; returns what was blocked before.
@discardableResult
public func setBlockedSignals(_ set: SignalSet) throws(LinuxError) -> SignalSet { try changeSignalMask(2, set) }

private func changeSignalMask(_ how: Int, _ set: SignalSet) throws(LinuxError) -> SignalSet {
    var bits = set.bits
    var before: UInt64 = 0
    // SAFETY: the kernel reads and writes eight bytes each during the call.
    unsafe try withUnsafeMutablePointer(to: &bits) { new throws(LinuxError) in
        unsafe try withUnsafeMutablePointer(to: &before) { old throws(LinuxError) in
            _ = unsafe try systemCall(
                __NR_rt_sigprocmask, how, Int(bitPattern: new), Int(bitPattern: old), 8)
        }
    }
    return SignalSet(bits: before)
}

/// A descriptor that delivers blocked signals as records to read.
public struct SignalFile: ~Copyable, Sendable {
    public let descriptor: FileDescriptor

    /// The signals must be blocked in every thread, or they are delivered the usual way.
    public init(_ set: SignalSet) throws(LinuxError) {
        var bits = set.bits
        // SAFETY: the kernel reads eight bytes during the call.
        descriptor = FileDescriptor(
            owning: try unsafe withUnsafeMutablePointer(to: &bits) { pointer throws(LinuxError) -> Int32 in
                Int32(
                    truncatingIfNeeded: unsafe try systemCall(
                        __NR_signalfd4, -1, Int(bitPattern: pointer), 8, Int(O_CLOEXEC | O_NONBLOCK)))
            })
    }

    /// The next signal's number, or nil when none waits.
    public func next() -> Int32? {
        var record = linux_signal_record()
        let size = MemoryLayout<linux_signal_record>.size
        let number = descriptor.number
        // SAFETY: the kernel fills one record during the call.
        let count = unsafe withUnsafeMutablePointer(to: &record) { pointer in
            linux_system_call(Int(__NR_read), Int(number), Int(bitPattern: pointer), size, 0, 0, 0)
        }
        return count == size ? Int32(bitPattern: record.ssi_signo) : nil
    }
}
