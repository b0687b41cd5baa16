import CLinux
import HostFiles
import LinuxCalls

/// Held by a machine's owner for as long as it lives; the kernel lets go of it when the owner ends, however it does.
public struct MachineLock: ~Copyable, Sendable {
    static let fileName = "lock"
    let descriptor: FileDescriptor

    /// The lock of the machine in that folder, or nil when somebody holds it.
    /// - Throws: what the file system says, a folder that is not there included.
    static func take(in folder: HostPath) throws(LinuxError) -> MachineLock? {
        let file = try LinuxCalls.open("\(folder)/\(fileName)", [.readWrite, .create], mode: 0o600)
        do throws(LinuxError) {
            // LOCK_EX | LOCK_NB. SAFETY: no address is passed.
            unsafe try systemCallRestarting(__NR_flock, Int(file.number), 2 | 4)
        } catch {
            if error.number == EAGAIN { return nil }
            throw error
        }
        return MachineLock(descriptor: file)
    }

    init(descriptor: consuming FileDescriptor) { self.descriptor = descriptor }

    /// Whether some process owns the machine.
    static func isHeld(in folder: HostPath) -> Bool {
        guard let lock = try? take(in: folder) else {
            return (try? HostPath("\(folder)/\(fileName)").status()) != nil
        }
        extendLifetime(lock)
        return false
    }
}
