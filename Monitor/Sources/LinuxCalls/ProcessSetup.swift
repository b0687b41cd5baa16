import CLinux

/// What a process sets up for itself, or for the program that it becomes.
public enum ProcessSetup {
    // MARK: Limits

    /// Sources: getrlimit(2), linux/resource.h.
    public enum Resource: Int, Sendable {
        case fileSize = 1
        case openFiles = 7
        case addressSpace = 9
    }

    /// Sets both the limit and how far it may be raised again.
    public static func limit(_ resource: Resource, to value: UInt64) throws(LinuxError) {
        var limits = (value, value)
        // SAFETY: the kernel reads the two numbers during the call.
        unsafe try withUnsafeMutablePointer(to: &limits) { limits throws(LinuxError) in
            _ = unsafe try systemCall(__NR_prlimit64, 0, resource.rawValue, Int(bitPattern: limits), 0)
        }
    }

    /// The same, where more is allowed; nothing where less is.
    public static func lowerLimit(_ resource: Resource, to value: UInt64) throws(LinuxError) {
        var limits: (now: UInt64, most: UInt64) = (0, 0)
        // SAFETY: the kernel fills the two numbers during the call.
        unsafe try withUnsafeMutablePointer(to: &limits) { limits throws(LinuxError) in
            _ = unsafe try systemCall(__NR_prlimit64, 0, resource.rawValue, 0, Int(bitPattern: limits))
        }
        if limits.most > value { try limit(resource, to: value) }
    }

    // MARK: Descriptors

    /// Closes every descriptor from that one on.
    public static func closeDescriptors(from first: Int32) {
        // close_range(2) is there since Linux 5.9.
        if linux_system_call(Int(__NR_close_range), Int(first), Int(UInt32.max), 0, 0, 0, 0) == 0 { return }
        for number in Int(first)..<65536 { _ = linux_system_call(Int(__NR_close), number, 0, 0, 0, 0, 0) }
    }

    /// Puts an open file in the place of standard input, output and error.
    public static func replaceStandardStreams(with descriptor: Int32) throws(LinuxError) {
        // SAFETY: no address is passed.
        for number in 0..<3 { unsafe try systemCall(__NR_dup2, Int(descriptor), number) }
    }

    /// Has another number stand for the same open file.
    public static func copyDescriptor(_ descriptor: Int32, to number: Int32) throws(LinuxError) {
        // SAFETY: no address is passed.
        unsafe try systemCall(__NR_dup2, Int(descriptor), Int(number))
    }

    /// Source: umask(2).
    public static func setFileCreationMask(_ mask: UInt32) {
        _ = linux_system_call(Int(__NR_umask), Int(mask), 0, 0, 0, 0, 0)
    }

    // MARK: Who it is

    /// Becomes that user and group, without any other, for good.
    public static func become(user: UInt32, group: UInt32) throws(LinuxError) {
        // SAFETY: no address is passed.
        unsafe try systemCall(__NR_setgroups, 0, 0)
        unsafe try systemCall(__NR_setresgid, Int(group), Int(group), Int(group))
        unsafe try systemCall(__NR_setresuid, Int(user), Int(user), Int(user))
    }

    /// Leaves the terminal. Not for who leads a process group.
    public static func beginSession() throws(LinuxError) {
        // SAFETY: no address is passed.
        unsafe try systemCall(__NR_setsid)
    }

    /// Joins the network namespace that a descriptor stands for. Source: setns(2), CLONE_NEWNET.
    public static func joinNetwork(_ namespace: Int32) throws(LinuxError) {
        // SAFETY: no address is passed.
        unsafe try systemCall(__NR_setns, Int(namespace), 0x4000_0000)
    }

    /// Goes on twice, in a child which is the first process of a new PID namespace, and here. With one thread only.
    /// - Returns: the child's number; nil in the child.
    public static func forkIntoProcessNamespace() throws(LinuxError) -> Int32? {
        // CLONE_NEWPID and SIGCHLD. SAFETY: no address is passed; the child has a copy of all memory.
        let child = unsafe try systemCall(__NR_clone, 0x2000_0000 | 17, 0, 0, 0, 0)
        return child == 0 ? nil : Int32(truncatingIfNeeded: child)
    }

    /// Makes a file that stands for a character device, for its owner to read and write.
    public static func makeCharacterDevice(_ path: [UInt8], major: UInt32, minor: UInt32) throws(LinuxError) {
        // The kernel's own form of a device's number: linux/kdev_t.h, new_encode_dev.
        let number = (minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)
        _ = try withKernelBytes(path) { name throws(LinuxError) in
            // SAFETY: the name outlives the call. S_IFCHR, rw for the owner.
            unsafe try systemCall(__NR_mknodat, Int(AT_FDCWD), name, 0o020600, Int(number))
        }
    }

    // MARK: Becoming another program

    /// Executes a program without any environment; returns only to say why not.
    public static func execute(_ path: [UInt8], _ arguments: [[UInt8]]) -> LinuxError {
        var texts: [UInt8] = []
        var starts: [Int] = []
        for argument in arguments + [path] {
            starts.append(texts.count)
            texts += argument + [0]
        }
        // SAFETY: the texts and the list of their addresses outlive the call.
        let result = unsafe texts.withUnsafeBufferPointer { texts in
            let base = Int(bitPattern: texts.baseAddress)
            let addresses = starts.dropLast().map { base + $0 } + [0]
            return unsafe addresses.withUnsafeBufferPointer { list in
                let start = Int(bitPattern: list.baseAddress)
                return linux_system_call(
                    Int(__NR_execve), base + (starts.last ?? 0), start, start + (list.count - 1) * 8, 0, 0, 0)
            }
        }
        return LinuxError(Int32(truncatingIfNeeded: -result))
    }
}
