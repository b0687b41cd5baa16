import CLinux

/// Calls on the machine as a whole; most need to be root.
public enum SystemControl {
    public enum End: UInt, Sendable {
        case powerOff = 0x4321_fedc
        case restart = 0x0123_4567
        case halt = 0xcdef_0123
    }

    /// Ends the machine. Returns only when that is not allowed. Source: reboot(2).
    public static func end(_ how: End) {
        _ = linux_system_call(
            Int(__NR_reboot), Int(LINUX_REBOOT_MAGIC1), Int(LINUX_REBOOT_MAGIC2), Int(bitPattern: how.rawValue), 0, 0, 0
        )
    }

    public static func synchronize() { _ = linux_system_call(Int(__NR_sync), 0, 0, 0, 0, 0, 0) }

    public static func setHostName(_ name: [UInt8]) throws(LinuxError) {
        // SAFETY: the array outlives the call.
        unsafe try name.withUnsafeBufferPointer { name throws(LinuxError) in
            _ = unsafe try systemCall(__NR_sethostname, Int(bitPattern: name.baseAddress), name.count)
        }
    }

    /// As `uname -r` prints it.
    public static func kernelRelease() -> [UInt8] {
        var names = new_utsname()
        // SAFETY: the kernel fills the structure during the call; the copy is read within its bounds.
        return unsafe withUnsafeMutablePointer(to: &names) { pointer in
            _ = linux_system_call(Int(__NR_uname), Int(bitPattern: pointer), 0, 0, 0, 0, 0)
            return unsafe withUnsafeBytes(of: &pointer.pointee.release) { unsafe [UInt8]($0.prefix { $0 != 0 }) }
        }
    }

    /// Loads a kernel module. One that is already there is no error.
    public static func loadModule(_ file: Int32) throws(LinuxError) {
        do throws(LinuxError) {
            _ = try withKernelBytes([]) { parameters throws(LinuxError) in
                // SAFETY: the empty text outlives the call.
                unsafe try systemCall(__NR_finit_module, Int(file), parameters, 0)
            }
        } catch {
            if error.number != EEXIST { throw error }
        }
    }

    /// Sets the clock to nanoseconds since 1970 (UTC).
    public static func setRealTime(nanoseconds: UInt64) throws(LinuxError) {
        var time = __kernel_timespec()
        time.tv_sec = Int64(nanoseconds / 1_000_000_000)
        time.tv_nsec = Int64(nanoseconds % 1_000_000_000)
        // SAFETY: the kernel reads the structure during the call.
        unsafe try withUnsafeMutablePointer(to: &time) { time throws(LinuxError) in
            _ = unsafe try systemCall(__NR_clock_settime, Clock.realTime.rawValue, Int(bitPattern: time))
        }
    }

    /// Mixes bytes into the kernel's random generator and credits them. Source: random(4), RNDADDENTROPY.
    public static func addEntropy(_ bytes: [UInt8], to randomDevice: Int32) throws(LinuxError) {
        // struct rand_pool_info: entropy in bits, bytes, data.
        let count = UInt32(truncatingIfNeeded: bytes.count)
        var pool: [UInt8] = []
        for word in [count &* 8, count] {
            for shift: UInt32 in [0, 8, 16, 24] { pool.append(UInt8(truncatingIfNeeded: word >> shift)) }
        }
        pool += bytes
        // SAFETY: the array outlives the call and is as long as it says.
        unsafe try pool.withUnsafeBufferPointer { pool throws(LinuxError) in
            _ = unsafe try systemCall(
                __NR_ioctl, Int(randomDevice), 0x4008_5203, Int(bitPattern: pool.baseAddress))
        }
    }

    /// Has the kernel's random generator take on what was mixed in at once, and not when its time has come.
    /// Source: random(4), RNDRESEEDCRNG.
    public static func reseedRandom(_ randomDevice: Int32) throws(LinuxError) {
        // SAFETY: no address is passed.
        unsafe try systemCall(__NR_ioctl, Int(randomDevice), 0x5207, 0)
    }

    /// Has the kernel forget what it remembers of an open block device, which somebody else may have written to since.
    /// Anything else remembers nothing. Source: linux/fs.h, BLKFLSBUF.
    public static func forgetBuffers(of device: Int32) {
        _ = linux_system_call(Int(__NR_ioctl), Int(device), 0x1261, 0, 0, 0, 0)
    }

    /// What new files are not allowed.
    public static func setFileCreationMask(_ mask: UInt32) {
        _ = linux_system_call(Int(__NR_umask), Int(mask), 0, 0, 0, 0, 0)
    }
}
