import CLinux
import LinuxCalls

extension HostPath {
    /// The names in a folder, without `.` and `..`, sorted by their bytes.
    /// Source: getdents(2), `struct linux_dirent64`.
    public func folderNames() throws(HostFileError) -> [[UInt8]] {
        let folder = try HostFile(self, [.readOnly, .directory])
        var names: [[UInt8]] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count: Int
            do throws(LinuxError) {
                // SAFETY: the kernel writes only inside the array, during the call.
                count = unsafe try withAddress(of: &buffer) { address, count throws(LinuxError) in
                    unsafe try systemCallRestarting(__NR_getdents64, Int(folder.descriptorNumber), address, count)
                }
            } catch {
                throw HostFileError("list", self, error)
            }
            if count == 0 { break }
            var offset = 0
            while offset + 19 < count {
                // Inode number 8, offset 8, record length 2, type 1, then the name and a zero byte.
                let length = Int(buffer[offset + 16]) | Int(buffer[offset + 17]) << 8
                guard length > 19, offset + length <= count else { break }
                let name = Array(buffer[(offset + 19)..<(offset + length)].prefix { $0 != 0 })
                if name != Array(".".utf8) && name != Array("..".utf8) { names.append(name) }
                offset += length
            }
        }
        return names.sorted { $0.lexicographicallyPrecedes($1) }
    }

    /// Where a symbolic link points.
    public func linkTarget() throws(HostFileError) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = try call("read the link") { address throws(LinuxError) in
            // SAFETY: the kernel writes only inside the array, during the call.
            unsafe try withAddress(of: &buffer) { target, count throws(LinuxError) in
                unsafe try systemCallRestarting(__NR_readlinkat, Int(AT_FDCWD), address, target, count)
            }
        }
        return Array(buffer[..<count])
    }

    /// The extended attributes of the file itself (not of what a link points to), sorted by name.
    ///
    /// Those that this user may not read are left out; a file system without attributes has none.
    public func extendedAttributes() throws(HostFileError) -> [(name: [UInt8], value: [UInt8])] {
        var list = [UInt8](repeating: 0, count: 1 << 16)
        let listed: Int
        do {
            listed = try call("read the attributes of") { address throws(LinuxError) in
                // SAFETY: the kernel writes only inside the array, during the call.
                unsafe try withAddress(of: &list) { names, count throws(LinuxError) in
                    unsafe try systemCallRestarting(__NR_llistxattr, address, names, count)
                }
            }
        } catch {
            if error.reason.number == EOPNOTSUPP || error.reason.number == ENOSYS { return [] }
            throw error
        }
        if listed == 0 { return [] }
        var found: [(name: [UInt8], value: [UInt8])] = []
        for name in list[..<listed].split(separator: 0) {
            var value = [UInt8](repeating: 0, count: 1 << 16)
            var terminated = Array(name) + [0]
            let length = try? call("read the attributes of") { address throws(LinuxError) in
                // SAFETY: name and value outlive the call, and the kernel writes only inside the value.
                unsafe try withAddress(of: &terminated) { name, _ throws(LinuxError) in
                    unsafe try withAddress(of: &value) { value, count throws(LinuxError) in
                        unsafe try systemCallRestarting(__NR_lgetxattr, address, name, value, count)
                    }
                }
            }
            if let length { found.append((Array(name), Array(value[..<length]))) }
        }
        return found.sorted { $0.name.lexicographicallyPrecedes($1.name) }
    }
}
