import CLinux
import HostFiles
import LinuxCalls

/// Held by a machine's owner for as long as it lives; the kernel lets go of it when the owner ends, however it does.
public struct MachineLock: ~Copyable, Sendable {
    static let fileName = "lock"
    let descriptor: FileDescriptor

    /// The lock of the machine in that folder, or nil when somebody holds it.
    /// - Parameter creates: whether the file is made where it is missing. Only who makes or keeps the folder does: in one
    ///   that somebody removes at this moment it would be left over.
    /// - Throws: what the file system says, a folder that is not there included.
    static func take(
        in folder: HostPath, creates: Bool = false, fileName: String = fileName
    ) throws(LinuxError) -> MachineLock? {
        let path = "\(folder)/\(fileName)"
        let file = creates ? try open(path, [.readWrite, .create], mode: 0o600) : try open(path, .readOnly)
        do throws(LinuxError) {
            // LOCK_EX | LOCK_NB. SAFETY: no address is passed.
            unsafe try systemCallRestarting(__NR_flock, Int(file.number), 2 | 4)
        } catch {
            if error.number == EAGAIN { return nil }
            throw error
        }
        return MachineLock(descriptor: file)
    }

    /// The same, made where it is missing, when whoever holds it lets go in time; nil when nobody does.
    static func take(
        in folder: HostPath, fileName: String = fileName, withinMilliseconds milliseconds: UInt64
    ) throws(LinuxError) -> MachineLock? {
        let end = Clock.monotonic.nanoseconds() + milliseconds * 1_000_000
        while true {
            if let lock = try take(in: folder, creates: true, fileName: fileName) { return lock }
            if Clock.monotonic.nanoseconds() > end { return nil }
            LinuxCalls.sleep(nanoseconds: 20_000_000)
        }
    }

    init(descriptor: consuming FileDescriptor) { self.descriptor = descriptor }

    /// Whether some process owns the machine.
    static func isHeld(in folder: HostPath) -> Bool {
        let lock: MachineLock?
        do throws(LinuxError) { lock = try take(in: folder) } catch {
            // Nobody can hold what is not there. What cannot be looked at may be held.
            return error.number != ENOENT
        }
        guard let lock else { return true }
        extendLifetime(lock)
        return false
    }
}
