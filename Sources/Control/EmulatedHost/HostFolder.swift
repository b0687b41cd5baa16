import Glibc
import LinuxCalls

/// Changes to the folders that belong to the host.
enum HostFolder {
    /// Makes a folder that only its owner may enter, and those above it.
    static func make(_ path: String) throws(HostError) {
        var built = ""
        for part in path.split(separator: "/") {
            built += "/\(part)"
            if unsafe mkdir(built, built == path ? 0o700 : 0o755) != 0, errno != EEXIST {
                throw HostError(.unusableFolder, "cannot make the folder \(built): \(LinuxError(errno))")
            }
        }
        if unsafe access(path, R_OK | W_OK | X_OK) != 0 {
            throw HostError(.unusableFolder, "cannot use the folder \(path): \(LinuxError(errno))")
        }
    }

    /// The names in a folder; none when it cannot be read.
    static func names(_ path: String) -> [String] {
        guard let folder = unsafe opendir(path) else { return [] }
        defer { unsafe closedir(folder) }
        var names: [String] = []
        while let entry = unsafe readdir(folder) {
            let name = unsafe withUnsafePointer(to: entry.pointee.d_name) { name in
                // SAFETY: the C library ends the name with a zero byte inside the record.
                unsafe name.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    /// Removes a folder that holds files only. What cannot be removed stays.
    static func remove(_ path: String) {
        for name in names(path) { unsafe unlink("\(path)/\(name)") }
        unsafe rmdir(path)
    }

    static func move(_ from: String, to: String) throws(HostError) {
        guard unsafe rename(from, to) == 0 else {
            throw HostError(.unusableFolder, "cannot rename \(from) to \(to): \(LinuxError(errno))")
        }
    }

    /// A whole file of the host's parts.
    static func content(_ path: String) throws(HostError) -> [UInt8] {
        do throws(LinuxError) {
            let file = try open(path, .readOnly)
            var bytes: [UInt8] = []
            while try LinuxCalls.read(file.number, appendingTo: &bytes, maximumBytes: 1 << 20) > 0 {}
            return bytes
        } catch {
            throw HostError(.missingPart, "cannot read \(path), a part of the emulated host: \(error)")
        }
    }

    /// Writes a whole file for its owner only, so that readers see the old or the new one.
    static func write(_ bytes: [UInt8], to path: String) throws(HostError) {
        do {
            let scratch = path + ".new"
            let file = try open(scratch, [.writeOnly, .create, .truncate], mode: 0o600)
            try writeAll(file.number, bytes)
            guard unsafe rename(scratch, path) == 0 else { throw LinuxError(errno) }
        } catch {
            throw HostError(.unusableFolder, "cannot write \(path): \(error)")
        }
    }
}

/// A lock that other processes of this user respect, held until it is let go of or its holder dies.
struct FileLock: ~Copyable {
    let file: FileDescriptor

    private init(owning file: consuming FileDescriptor) { self.file = file }

    /// Waits for the lock.
    /// - Parameter whenBusy: called once, before waiting.
    static func wait(for path: String, whenBusy: () -> Void = {}) throws(HostError) -> FileLock {
        let file = try openFile(path)
        if flock(file.number, LOCK_EX | LOCK_NB) == 0 { return FileLock(owning: file) }
        whenBusy()
        while flock(file.number, LOCK_EX) != 0 {
            guard errno == EINTR else { throw HostError(.unusableFolder, "cannot lock \(path): \(LinuxError(errno))") }
        }
        return FileLock(owning: file)
    }

    /// Takes the lock, or nothing when somebody holds it.
    static func take(_ path: String) throws(HostError) -> FileLock? {
        let file = try openFile(path)
        guard flock(file.number, LOCK_EX | LOCK_NB) == 0 else { return nil }
        return FileLock(owning: file)
    }

    private static func openFile(_ path: String) throws(HostError) -> FileDescriptor {
        do throws(LinuxError) {
            return try open(path, [.readWrite, .create], mode: 0o600)
        } catch {
            throw HostError(.unusableFolder, "cannot open \(path): \(error)")
        }
    }
}
