import CLinux

/// One instruction of the kernel's packet filter machine. Source: `struct sock_filter`, linux/filter.h.
public struct FilterInstruction: Equatable, Sendable, BitwiseCopyable {
    public var code: UInt16
    public var jumpIfTrue: UInt8
    public var jumpIfFalse: UInt8
    public var operand: UInt32

    public init(code: UInt16, _ jumpIfTrue: UInt8, _ jumpIfFalse: UInt8, _ operand: UInt32) {
        self.code = code
        self.jumpIfTrue = jumpIfTrue
        self.jumpIfFalse = jumpIfFalse
        self.operand = operand
    }
}

/// Filters of system calls. A thread's filter is for good, and for every thread it starts from then on.
/// Source: seccomp(2).
public enum SystemCallFilter {
    /// Filters the calling thread from now on. `PrivilegeDrop.refuseNewPrivileges` must have been called.
    public static func install(_ instructions: [FilterInstruction]) throws(LinuxError) {
        _ = try install(instructions, flags: 0)
    }

    /// As `install`; whoever holds the descriptor that is given back is asked about each call that the filter wants
    /// asked. For tests that record which rules are needed.
    public static func installWithListener(_ instructions: [FilterInstruction]) throws(LinuxError) -> FileDescriptor {
        // SECCOMP_FILTER_FLAG_NEW_LISTENER
        FileDescriptor(owning: Int32(truncatingIfNeeded: try install(instructions, flags: 8)))
    }

    private static func install(_ instructions: [FilterInstruction], flags: Int) throws(LinuxError) -> Int {
        // SAFETY: program and instructions outlive the call; the count is the array's.
        unsafe try instructions.withUnsafeBufferPointer { buffer throws(LinuxError) in
            // struct sock_fprog: a count of 16 bits, and at offset 8 the address.
            var program = (UInt64(UInt16(truncatingIfNeeded: buffer.count)), UInt(bitPattern: buffer.baseAddress))
            return unsafe try withUnsafeMutablePointer(to: &program) { program throws(LinuxError) in
                // SECCOMP_SET_MODE_FILTER is 1.
                unsafe try systemCall(__NR_seccomp, 1, flags, Int(bitPattern: program))
            }
        }
    }

    /// Has the process write to standard error which call was refused, of which role, before it ends by SIGSYS.
    ///
    /// `report` is called in a signal's handler, with what the filter gave along, the call's number, and its first three
    /// arguments: it must only write.
    public static func reportRefusals(_ report: @escaping @Sendable (Int32, Int32, UInt, UInt, UInt) -> Void) {
        refusalReport.set(report)
        unsafe linux_report_refused_calls { data, call, arguments in
            guard let arguments = unsafe arguments else { return }
            // SAFETY: three words, which the handler has for the length of this call.
            unsafe refusalReport.call(data, call, arguments[0], arguments[1], arguments[2])
        }
    }
}

/// What `reportRefusals` was given; set once, before any thread can be refused anything.
private final class RefusalReport: @unchecked Sendable {
    private var report: (@Sendable (Int32, Int32, UInt, UInt, UInt) -> Void)?
    func set(_ report: @escaping @Sendable (Int32, Int32, UInt, UInt, UInt) -> Void) { self.report = report }
    func call(_ data: Int32, _ call: Int32, _ a: UInt, _ b: UInt, _ c: UInt) { report?(data, call, a, b, c) }
}

private let refusalReport = RefusalReport()
