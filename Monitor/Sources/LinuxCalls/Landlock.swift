import CLinux

/// Rules on files that a process gives itself, and every thread that it starts from then on. Source: landlock(7).
///
/// What is open already stays usable.
public enum Landlock {
    /// Which version of Landlock the kernel has; 0: none.
    public static var version: Int {
        // LANDLOCK_CREATE_RULESET_VERSION
        max(linux_system_call(Call.createRuleset, 0, 0, 1, 0, 0, 0), 0)
    }

    /// What may be done in a folder and below it.
    public enum Access: Sendable {
        /// Names of files and sockets may be removed.
        case removing
        /// Everything but executing and devices.
        case everything
    }

    /// Refuses every access to files but those given, and, where the kernel knows them, TCP, abstract Unix sockets and
    /// signals to others. `PrivilegeDrop.refuseNewPrivileges` must have been called.
    /// - Throws: EOPNOTSUPP or ENOSYS where there is no Landlock.
    public static func restrict(allowing folders: [(descriptor: Int32, access: Access)]) throws(LinuxError) {
        let version = self.version
        if version < 1 { throw LinuxError(EOPNOTSUPP) }
        let files = Right.all(version)
        // struct landlock_ruleset_attr: file rights, network rights (4), scopes (6). An older kernel knows a shorter one.
        var attributes: (UInt64, UInt64, UInt64) = (files, 0x3, 0x3)
        let size = version >= 6 ? 24 : version >= 4 ? 16 : 8
        // SAFETY: the kernel reads the structure during the call.
        let ruleset = FileDescriptor(
            owning: Int32(
                truncatingIfNeeded: unsafe try withUnsafeMutablePointer(to: &attributes) { place throws(LinuxError) in
                    try result(linux_system_call(Call.createRuleset, Int(bitPattern: place), size, 0, 0, 0, 0))
                }))
        for folder in folders {
            let allowed = files & (folder.access == .removing ? Right.removeFile : ~(Right.execute | Right.devices))
            // struct landlock_path_beneath_attr, packed: rights, descriptor. LANDLOCK_RULE_PATH_BENEATH is 1.
            var rule: (UInt64, Int32) = (allowed, folder.descriptor)
            // SAFETY: as above.
            _ = unsafe try withUnsafeMutablePointer(to: &rule) { place throws(LinuxError) in
                try result(
                    linux_system_call(Call.addRule, Int(ruleset.number), 1, Int(bitPattern: place), 0, 0, 0))
            }
        }
        _ = try result(linux_system_call(Call.restrictSelf, Int(ruleset.number), 0, 0, 0, 0, 0))
    }

    private static func result(_ value: Int) throws(LinuxError) -> Int {
        if value < 0 { throw LinuxError(Int32(truncatingIfNeeded: -value)) }
        return value
    }

    private enum Call {
        static let createRuleset = 444
        static let addRule = 445
        static let restrictSelf = 446
    }

    /// Source: linux/landlock.h, LANDLOCK_ACCESS_FS_.
    private enum Right {
        static let execute: UInt64 = 1 << 0
        static let removeFile: UInt64 = 1 << 5
        /// Making character and block devices, and ioctl on any.
        static let devices: UInt64 = 1 << 6 | 1 << 11 | 1 << 15

        /// Those that this version knows: 13; moving between folders; truncating; ioctl on devices.
        static func all(_ version: Int) -> UInt64 {
            switch version {
            case 1: 0x1fff
            case 2: 0x3fff
            case 3, 4: 0x7fff
            default: 0xffff
            }
        }
    }
}
