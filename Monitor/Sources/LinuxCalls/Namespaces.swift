import CLinux

/// Kinds of namespaces. Source: namespaces(7), clone(2).
public struct NamespaceKinds: OptionSet, Sendable {
    public let rawValue: UInt
    public init(rawValue: UInt) { self.rawValue = rawValue }

    public static let mount = NamespaceKinds(rawValue: 0x0002_0000)
    public static let hostName = NamespaceKinds(rawValue: 0x0400_0000)
    public static let interProcess = NamespaceKinds(rawValue: 0x0800_0000)
    public static let user = NamespaceKinds(rawValue: 0x1000_0000)
    public static let network = NamespaceKinds(rawValue: 0x4000_0000)
}

/// Moving this process away from what others see.
public enum Namespaces {
    /// Gives this process new ones. With a user namespace among them it must have one thread only.
    public static func leave(_ kinds: NamespaceKinds) throws(LinuxError) {
        // SAFETY: no address is passed.
        unsafe try systemCall(__NR_unshare, Int(kinds.rawValue))
    }

    /// Makes the directory the root of the file system for this process, and lets go of everything else that is mounted.
    /// It must be a mount's root. Source: pivot_root(2), "pivot_root(".", ".")".
    public static func makeRoot(_ directory: [UInt8]) throws(LinuxError) {
        try MountTable.changeDirectory(directory)
        do throws(LinuxError) {
            _ = try withKernelBytes([0x2e]) { here throws(LinuxError) in
                // SAFETY: the name outlives the call.
                unsafe try systemCall(__NR_pivot_root, here, here)
            }
            try MountTable.unmount([0x2e], isLazy: true)
        } catch {
            // EINVAL: the root is the kernel's first one, which never goes.
            guard error.number == EINVAL else { throw error }
            try MountTable.mount([0x2e], at: [0x2f], type: [], .move)
            try MountTable.changeRoot([0x2e])
        }
        try MountTable.changeDirectory([0x2f])
    }

    /// The working directory, without its final zero.
    public static func workingDirectory() throws(LinuxError) -> [UInt8] {
        var path = [UInt8](repeating: 0, count: 4096)
        // SAFETY: the kernel writes only inside the array.
        let count = unsafe try path.withUnsafeMutableBufferPointer { buffer throws(LinuxError) in
            unsafe try systemCall(__NR_getcwd, Int(bitPattern: buffer.baseAddress), buffer.count)
        }
        return Array(path[..<max(count - 1, 0)])
    }

    public static func effectiveUser() -> UInt32 {
        UInt32(truncatingIfNeeded: linux_system_call(Int(__NR_geteuid), 0, 0, 0, 0, 0, 0))
    }

    public static func effectiveGroup() -> UInt32 {
        UInt32(truncatingIfNeeded: linux_system_call(Int(__NR_getegid), 0, 0, 0, 0, 0, 0))
    }
}
