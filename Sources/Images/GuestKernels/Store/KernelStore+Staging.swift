import FoundationEssentials
import HostFiles
import LinuxCalls

extension KernelStore {
    /// Held while names in the store change; waits for whoever holds it. Freed when the file is closed.
    func changeLock() throws(KernelError) -> HostFile {
        try storing { () throws(HostFileError) in
            try folder.makeFolders()
            let lock = try HostFile(folder.appending(".lock"), [.readWrite, .create])
            try lock.lock(isExclusive: true)
            return lock
        }
    }

    /// Calls `body` with a folder of its own inside the store, gone afterwards, and by the next call if this process dies.
    func withStagingFolder<R>(_ body: (String) throws(KernelError) -> R) throws(KernelError) -> R {
        let claimed = try claimStagingFolder()
        defer {
            try? FileManager.default.removeItem(atPath: claimed.path)
            extendLifetime(claimed)
        }
        return try body(claimed.path)
    }

    private func claimStagingFolder() throws(KernelError) -> StagingFolder {
        let change = try changeLock()
        removeLeftovers()
        let number = UInt64.random(in: 0 ... .max)
        let path = folder.appending("\(Self.incomingPrefix)\(processID())-\(String(number, radix: 16))")
        let claimed = try storing { () throws(HostFileError) in
            try path.makeFolders(mode: 0o755)
            let lock = try HostFile(path, [.readOnly, .directory])
            try lock.lock(isExclusive: true)
            return lock
        }
        _ = consume change
        return StagingFolder(path: "\(path)", lock: claimed)
    }

    /// Removes what processes that died have left; to be called with the store's lock held.
    private func removeLeftovers() {
        guard let names = try? folder.folderNames() else { return }
        for name in names {
            let text = String(decoding: name, as: UTF8.self)
            guard text.hasPrefix(Self.incomingPrefix) else { continue }
            guard let owner = try? HostFile(folder.appending(name), [.readOnly, .directory]) else { continue }
            if owner.lockIfFree() { try? FileManager.default.removeItem(atPath: root + "/" + text) }
        }
    }
}

/// A folder that somebody fills, and the lock that says so.
struct StagingFolder: ~Copyable {
    let path: String
    let lock: HostFile
}

extension HostFile {
    /// Takes the file's lock unless somebody else holds it (`flock(2)`).
    func lockIfFree() -> Bool {
        // LOCK_EX | LOCK_NB
        // SAFETY: no address is passed.
        (unsafe try? systemCallRestarting(Self.flockNumber, Int(descriptorNumber), 2 | 4)) != nil
    }

    #if arch(arm64)
        private static let flockNumber: Int32 = 32
    #else
        private static let flockNumber: Int32 = 73
    #endif
}
