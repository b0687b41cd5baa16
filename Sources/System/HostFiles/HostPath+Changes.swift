import CLinux
import LinuxCalls

extension HostPath {
    /// Makes a folder and those above it; one that is there already is left as it is.
    public func makeFolders(mode: UInt32 = 0o755) throws(HostFileError) {
        if (try? status())?.isFolder == true { return }
        if let slash = bytes.dropLast().lastIndex(of: UInt8(ascii: "/")), slash > 0 {
            try HostPath(bytes: Array(bytes[..<slash])).makeFolders(mode: mode)
        }
        do {
            try call("make the folder") { address throws(LinuxError) in
                // SAFETY: the path is valid during the call.
                unsafe try systemCallRestarting(__NR_mkdirat, Int(AT_FDCWD), address, Int(mode))
            }
        } catch {
            guard error.reason.number == EEXIST, (try? status())?.isFolder == true else { throw error }
        }
    }

    /// Gives it to a user and a group of the same number. A link at the end is not followed.
    public func setOwner(_ identity: UInt32) throws(HostFileError) {
        try call("change the owner of") { address throws(LinuxError) in
            // AT_SYMLINK_NOFOLLOW. SAFETY: the path is valid during the call.
            unsafe try systemCallRestarting(
                __NR_fchownat, Int(AT_FDCWD), address, Int(identity), Int(identity), 0x100)
        }
    }

    /// Puts this file in the place of another, in one step.
    public func rename(to target: HostPath) throws(HostFileError) {
        try call("rename") { source throws(LinuxError) in
            do throws(HostFileError) {
                return try target.call("rename") { destination throws(LinuxError) in
                    // SAFETY: both paths are valid during the call.
                    unsafe try systemCallRestarting(
                        __NR_renameat2, Int(AT_FDCWD), source, Int(AT_FDCWD), destination, 0)
                }
            } catch {
                throw error.reason
            }
        }
    }

    /// Gives this file another name besides, on the same file system.
    /// - Parameter followsLinks: whether a symbolic link means the file that it leads to.
    public func link(as target: HostPath, followingLinks followsLinks: Bool = false) throws(HostFileError) {
        let flags = Int(followsLinks ? AT_SYMLINK_FOLLOW : 0)
        try call("link") { source throws(LinuxError) in
            do throws(HostFileError) {
                return try target.call("link") { destination throws(LinuxError) in
                    // SAFETY: both paths are valid during the call.
                    unsafe try systemCallRestarting(
                        __NR_linkat, Int(AT_FDCWD), source, Int(AT_FDCWD), destination, flags)
                }
            } catch {
                throw error.reason
            }
        }
    }

    /// Removes a file; nothing happens when there is none.
    public func removeFile() throws(HostFileError) {
        do {
            try call("remove") { address throws(LinuxError) in
                // SAFETY: the path is valid during the call.
                unsafe try systemCallRestarting(__NR_unlinkat, Int(AT_FDCWD), address, 0)
            }
        } catch {
            if !error.isMissing { throw error }
        }
    }

    /// Removes a folder that holds nothing; nothing happens when there is none.
    public func removeEmptyFolder() throws(HostFileError) {
        do {
            try call("remove") { address throws(LinuxError) in
                // SAFETY: the path is valid during the call.
                unsafe try systemCallRestarting(__NR_unlinkat, Int(AT_FDCWD), address, Int(AT_REMOVEDIR))
            }
        } catch {
            if !error.isMissing { throw error }
        }
    }

    /// What lies on the disk after a power loss includes every renaming in this folder before.
    public func synchronizeFolder() throws(HostFileError) {
        try HostFile(self, [.readOnly, .directory]).synchronize()
    }

    /// The whole of a small file.
    /// - Throws: EFBIG when it is longer than `limit`.
    public func readWhole(limit: Int) throws(HostFileError) -> [UInt8] {
        let file = try HostFile(self)
        var content: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: min(limit + 1, 1 << 16))
        while true {
            let count = try file.read(into: &buffer)
            if count == 0 { return content }
            content.append(contentsOf: buffer[..<count])
            if content.count > limit { throw HostFileError("read", self, LinuxError(EFBIG)) }
        }
    }

    /// Puts `content` in place of the file in one step that survives a power loss.
    public func replaceWhole(_ content: [UInt8], mode: UInt32 = 0o644) throws(HostFileError) {
        let name = bytes.lastIndex(of: UInt8(ascii: "/")).map { Array(bytes[($0 + 1)...]) } ?? bytes
        let temporary = folder.appending(Array(".new-\(processID())-".utf8) + name)
        do {
            let file = try HostFile(temporary, [.writeOnly, .create, .truncate], mode: mode)
            try file.write(content)
            try file.synchronize()
            try temporary.rename(to: self)
        } catch {
            try? temporary.removeFile()
            throw error
        }
        try folder.synchronizeFolder()
    }
}

extension HostPath {
    /// The folder that this process works in.
    /// - Throws: ENOENT when it has been removed.
    public static func workingFolder() throws(HostFileError) -> HostPath {
        var buffer = [UInt8](repeating: 0, count: 4096)
        do throws(LinuxError) {
            // SAFETY: the kernel writes only inside the array, during the call.
            let count = unsafe try withAddress(of: &buffer) { address, capacity throws(LinuxError) in
                unsafe try systemCall(__NR_getcwd, address, capacity)
            }
            // The kernel writes "(unreachable)" before one that this process's root does not lead to.
            guard buffer[0] == UInt8(ascii: "/") else { throw LinuxError(ENOENT) }
            return HostPath(bytes: Array(buffer[..<max(0, count - 1)]))
        } catch {
            throw HostFileError("tell the path of the working folder", HostPath("."), error)
        }
    }
}

/// The number of this process.
public func processID() -> Int {
    // SAFETY: no address is passed.
    (unsafe try? systemCall(__NR_getpid)) ?? 0
}
