import CLinux

/// Capabilities, one bit each. Source: capabilities(7).
public struct CapabilitySet: OptionSet, Sendable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// Changing owners, reading and writing what others own, changing what belongs to others: what serving a folder of
    /// many users takes. CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_FSETID.
    public static let files = CapabilitySet(rawValue: 0x1f)
    /// Changing a network: CAP_NET_ADMIN.
    public static let network = CapabilitySet(rawValue: 1 << 12)
    public static let all = CapabilitySet(rawValue: .max)
}

/// Giving up rights for good.
public enum PrivilegeDrop {
    /// No program that this process runs gets more rights than it has. Source: prctl(2), PR_SET_NO_NEW_PRIVS.
    public static func refuseNewPrivileges() throws(LinuxError) {
        // SAFETY: no address is passed.
        unsafe try systemCall(__NR_prctl, 38, 1, 0, 0, 0)
    }

    /// Gives up every capability but these, for the calling thread and those it starts.
    public static func keepOnly(_ capabilities: CapabilitySet) throws(LinuxError) {
        // PR_CAPBSET_DROP is 24; where it is not allowed there is nothing to drop. PR_CAP_AMBIENT_CLEAR_ALL is 47, 4.
        for number in 0..<64 where capabilities.rawValue >> UInt64(number) & 1 == 0 {
            if linux_system_call(Int(__NR_prctl), 24, number, 0, 0, 0, 0) == -Int(EINVAL) { break }
        }
        _ = linux_system_call(Int(__NR_prctl), 47, 4, 0, 0, 0, 0)
        let held = try capabilitiesHeld()
        try set(CapabilitySet(rawValue: held.rawValue & capabilities.rawValue))
    }

    /// What the calling thread may do now.
    public static func capabilitiesHeld() throws(LinuxError) -> CapabilitySet {
        var header = (version, UInt32(0))
        var data: (UInt64, UInt64, UInt64) = (0, 0, 0)
        // SAFETY: the kernel reads the header and fills the three words during the call.
        unsafe try withUnsafeMutablePointer(to: &header) { header throws(LinuxError) in
            unsafe try withUnsafeMutablePointer(to: &data) { data throws(LinuxError) in
                _ = unsafe try systemCall(__NR_capget, Int(bitPattern: header), Int(bitPattern: data))
            }
        }
        // Twice three words of 32 bits: effective, permitted, inheritable; the lower halves first.
        return CapabilitySet(rawValue: (data.0 & 0xffff_ffff) | (data.1 >> 32) << 32)
    }

    /// Becomes that user and group, without any other, for good, and may do what it could before. With one thread only.
    /// Source: capabilities(7), "Effect of user ID changes on capabilities".
    public static func become(user: UInt32, group: UInt32) throws(LinuxError) {
        let held = try capabilitiesHeld()
        // PR_SET_KEEPCAPS. SAFETY: no address is passed.
        unsafe try systemCall(__NR_prctl, 8, 1, 0, 0, 0)
        try ProcessSetup.become(user: user, group: group)
        try set(held)
        // SAFETY: no address is passed.
        unsafe try systemCall(__NR_prctl, 8, 0, 0, 0, 0)
    }

    private static let version: UInt32 = 0x2008_0522

    /// Has programs that this process executes hold these, as far as it holds them itself, though it is not root.
    /// Source: capabilities(7), "Ambient".
    public static func passOn(_ capabilities: CapabilitySet) throws(LinuxError) {
        let held = try capabilitiesHeld()
        let passed = held.rawValue & capabilities.rawValue
        try set(held, inheritable: CapabilitySet(rawValue: passed))
        // PR_CAP_AMBIENT is 47, PR_CAP_AMBIENT_RAISE 2. SAFETY: no address is passed.
        for number in 0..<64 where passed >> UInt64(number) & 1 == 1 {
            unsafe try systemCall(__NR_prctl, 47, 2, number, 0, 0)
        }
    }

    private static func set(
        _ capabilities: CapabilitySet, inheritable: CapabilitySet = []
    ) throws(LinuxError) {
        let (low, high) = (capabilities.rawValue & 0xffff_ffff, capabilities.rawValue >> 32)
        let (lowPassed, highPassed) = (inheritable.rawValue & 0xffff_ffff, inheritable.rawValue >> 32)
        var header = (version, UInt32(0))
        var data: (UInt64, UInt64, UInt64) = (low | low << 32, lowPassed | high << 32, high | highPassed << 32)
        // SAFETY: the kernel reads both during the call.
        unsafe try withUnsafeMutablePointer(to: &header) { header throws(LinuxError) in
            unsafe try withUnsafeMutablePointer(to: &data) { data throws(LinuxError) in
                _ = unsafe try systemCall(__NR_capset, Int(bitPattern: header), Int(bitPattern: data))
            }
        }
    }

    /// Leaves no image of this process's memory, which is also its guest's, should it end by a signal.
    public static func leaveNoCoreFile() throws(LinuxError) {
        var limits: (UInt64, UInt64) = (0, 0)
        // RLIMIT_CORE is 4. SAFETY: the kernel reads the two numbers during the call.
        unsafe try withUnsafeMutablePointer(to: &limits) { limits throws(LinuxError) in
            _ = unsafe try systemCall(__NR_prlimit64, 0, 4, Int(bitPattern: limits), 0)
        }
    }
}
