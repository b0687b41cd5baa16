import CLinux

/// User namespaces, in which a user has capabilities that count for what belongs to the namespace. Source: user_namespaces(7).
public enum UserNamespace {
    /// Says who the one user and the one group are that this process's new namespace knows.
    /// - Parameters:
    ///   - user: what it is called inside, and in the namespace that this one was made in: its effective user there.
    ///   - group: the same.
    public static func map(
        user: (inside: UInt32, outside: UInt32), group: (inside: UInt32, outside: UInt32)
    ) throws(LinuxError) {
        try write("deny", "/proc/self/setgroups")
        try write("\(user.inside) \(user.outside) 1", "/proc/self/uid_map")
        try write("\(group.inside) \(group.outside) 1", "/proc/self/gid_map")
    }

    /// Joins the one that a descriptor stands for, with every capability in it. For who has made it, or may do all where it was
    /// made; with one thread only. Source: setns(2), CLONE_NEWUSER.
    public static func join(_ namespace: Int32) throws(LinuxError) {
        // SAFETY: no address is passed.
        unsafe try systemCall(__NR_setns, Int(namespace), Int(NamespaceKinds.user.rawValue))
    }

    /// The one in which that one was made.
    /// - Throws: EPERM where this process is in that one itself, or further inside.
    public static func parent(of namespace: Int32) throws(LinuxError) -> FileDescriptor {
        // Source: ioctl_ns(2), NS_GET_PARENT. SAFETY: no address is passed.
        let parent = unsafe try systemCall(__NR_ioctl, Int(namespace), 0xb702)
        return FileDescriptor(owning: Int32(truncatingIfNeeded: parent))
    }

    private static func write(_ text: String, _ path: String) throws(LinuxError) {
        let file = try open(path, .writeOnly)
        try writeAll(file.number, text)
    }
}
