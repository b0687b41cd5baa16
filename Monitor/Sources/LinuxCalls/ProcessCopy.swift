import CLinux

/// A copy of this process at one instant, which does one thing with memory as it is then and ends. The kernel copies pages
/// when either of the two writes them.
@safe public struct ProcessCopy: ~Copyable, Sendable {
    private let process: Int32

    /// Makes the copy.
    /// - Parameters:
    ///   - file: the only descriptor that the copy keeps: nobody's connection stays open because of it.
    ///   - body: runs in the copy, where no other thread is: it must not allocate, lock or wait for anybody. What it throws is
    ///     what `wait` throws.
    public init(keeping file: Int32, _ body: () throws(LinuxError) -> Void) throws(LinuxError) {
        // SAFETY: no address is passed; the copy has its own memory and stack. SIGCHLD is 17.
        let process = unsafe try systemCall(__NR_clone, 17, 0, 0, 0, 0)
        if process == 0 {
            Self.closeAll(but: file)
            var status: Int32 = 0
            do throws(LinuxError) { try body() } catch { status = min(max(error.number, 1), 255) }
            exitProcess(status)
        }
        self.process = Int32(truncatingIfNeeded: process)
    }

    /// Waits until the copy has done its work.
    public consuming func wait() throws(LinuxError) {
        switch try Children.wait(for: process) {
        case .exited(0): return
        case .exited(let number): throw LinuxError(Int32(number))
        case .signalled: throw LinuxError(EIO)
        }
    }

    private static func closeAll(but file: Int32) {
        // Source: close_range(2).
        if file > 0 { _ = linux_system_call(Int(__NR_close_range), 0, Int(file) - 1, 0, 0, 0, 0) }
        _ = linux_system_call(Int(__NR_close_range), Int(file) + 1, Int(UInt32.max), 0, 0, 0, 0)
    }
}
