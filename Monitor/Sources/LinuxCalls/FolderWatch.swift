import CLinux

/// Tells that a file in a folder has got its name, or has been written: closed after that, or moved there. Source: inotify(7).
public struct FolderWatch: ~Copyable {
    /// Watch it for `readable`.
    public let descriptor: FileDescriptor

    /// - Parameter path: a folder; what comes to lie at that path later is not watched.
    public init(_ path: [UInt8]) throws(LinuxError) {
        // SAFETY: no address is passed.
        let descriptor = FileDescriptor(
            owning: Int32(
                truncatingIfNeeded: unsafe try systemCall(__NR_inotify_init1, Int(O_CLOEXEC | O_NONBLOCK))))
        // IN_CLOSE_WRITE 8, IN_MOVED_TO 0x80, IN_ONLYDIR 0x0100_0000.
        let events = 0x0100_0088
        let number = descriptor.number
        _ = try withKernelBytes(path) { path throws(LinuxError) in
            // SAFETY: the name outlives the call.
            unsafe try systemCall(__NR_inotify_add_watch, Int(number), path, events)
        }
        self.descriptor = descriptor
    }

    /// Forgets what has happened until now. What that was is not told: the folder says how it is.
    public func drain() {
        var events = [UInt8](repeating: 0, count: 4096)
        // Bounded, for whoever writes fast; what is left makes the descriptor readable again.
        for _ in 0..<16 {
            guard let count = try? read(descriptor.number, over: &events), count > 0 else { return }
        }
    }
}
