import CLinux
import Ext4Format
import HostFiles
import LinuxCalls

/// Named disks that outlive machines: a folder each, with the disk and a record.
///
/// Several processes use it at once. Whoever uses a volume holds the lock of its disk, as with any disk of a machine; who
/// removes one takes that lock first.
public struct VolumeStore: Sendable {
    public static let usualSizeBytes: UInt64 = 10 << 30
    /// Below, there is no room for a journal.
    public static let leastSizeBytes: UInt64 = 16 << 20
    public static let mostSizeBytes: UInt64 = 16 << 40
    static let diskName = "disk.ext4"

    private let root: HostPath

    public init(_ paths: ProductPaths) { root = HostPath(paths.data).appending("volumes") }

    private func folder(_ name: String) -> HostPath { root.appending(name) }
    public func disk(_ name: String) -> String { folder(name).appending(Self.diskName).description }

    public static func check(name: String) throws(VolumeError) {
        do throws(FleetError) { try MachineNames.check(name) } catch {
            throw VolumeError(
                .invalidSetting,
                "\"\(name)\" cannot name a volume; use letters, digits, \".\", \"_\" and \"-\", at most 63, beginning with a letter or digit"
            )
        }
    }

    /// Makes an empty volume. Its file takes room as it is filled.
    @discardableResult
    public func create(
        _ name: String, sizeBytes: UInt64 = usualSizeBytes, labels: [String: String] = [:]
    ) throws(VolumeError) -> VolumeRecord {
        try Self.check(name: name)
        guard (Self.leastSizeBytes...Self.mostSizeBytes).contains(sizeBytes) else {
            throw VolumeError(
                .invalidSetting, "a volume has 16 MiB to 16 TiB, not \(sizeBytes) bytes (--size)")
        }
        guard !folder(name).exists else { throw Self.duplicate(name) }
        removeLeftovers()
        let draft = root.appending(".new-\(processID())-\(name)")
        do throws(VolumeError) {
            let record = VolumeRecord(
                name: name, sizeBytes: sizeBytes / 4096 * 4096,
                createdSeconds: Int64(Clock.realTime.nanoseconds() / 1_000_000_000), labels: labels)
            let path = draft.appending(Self.diskName)
            try volumeFiles { () throws(HostFileError) in
                try draft.makeFolders(mode: 0o700)
                try HostFile(path, [.writeOnly, .create, .exclusive], mode: 0o600).truncate(to: record.sizeBytes)
            }
            try FileSystemTools.format(path, label: name)
            try volumeFiles { () throws(HostFileError) in try HostFile(path).synchronize() }
            try record.write(to: draft)
            do throws(HostFileError) {
                try draft.rename(to: folder(name))
                try root.synchronizeFolder()
            } catch {
                if error.reason.number == ENOTEMPTY || error.reason.number == EEXIST { throw Self.duplicate(name) }
                throw VolumeError(error)
            }
            return record
        } catch {
            Self.removeTree(draft)
            throw error
        }
    }

    private static func duplicate(_ name: String) -> VolumeError {
        VolumeError(.duplicateName, "a volume is called \"\(name)\" already; choose another name")
    }

    public func list() -> [VolumeRecord] {
        ((try? root.folderNames()) ?? []).map { String(decoding: $0, as: UTF8.self) }
            .filter { !$0.hasPrefix(".") }.compactMap { VolumeRecord.read(from: folder($0)) }
    }

    public func find(_ name: String) throws(VolumeError) -> VolumeRecord {
        try Self.check(name: name)
        if let record = VolumeRecord.read(from: folder(name)) { return record }
        guard folder(name).exists else {
            throw VolumeError(.unknown, "no volume is called \"\(name)\"; `swiftlet volume ls` shows what there is")
        }
        throw VolumeError(
            .damaged,
            "the record of the volume \"\(name)\" cannot be read; its disk is \(disk(name)), which `swiftlet run --disk` takes. `swiftlet volume rm --force \(name)` removes both"
        )
    }

    /// Bytes that the volume takes on this computer.
    public func usedBytes(_ name: String) -> UInt64 { (try? HostPath(disk(name)).status().allocatedBytes) ?? 0 }

    /// Whether somebody uses the volume at this moment.
    public func isInUse(_ name: String) -> Bool {
        guard let file = try? HostFile(HostPath(disk(name))) else { return false }
        return !file.tryLock()
    }

    /// Looks a volume up for a machine, and makes it where there is none.
    public func prepare(_ attachment: VolumeAttachment) throws(VolumeError) -> VolumeAttachment {
        do throws(VolumeError) { _ = try find(attachment.name) } catch {
            guard error.code == .unknown else { throw error }
            do throws(VolumeError) { try create(attachment.name) } catch {
                // Somebody else has made it at this moment.
                if error.code != .duplicateName { throw error }
            }
        }
        var result = attachment
        result.diskPath = disk(attachment.name)
        return result
    }

    /// Looks at a volume's disk, whose lock is held, before a machine gets it.
    func checkUsable(_ attachment: VolumeAttachment) throws(VolumeError) {
        let name = attachment.name
        guard let superblock = try superblock(name) else {
            throw VolumeError(
                .damaged,
                "the volume \"\(name)\" holds no ext4 any more. `swiftlet volume check --repair \(name)` looks for another copy of its description"
            )
        }
        if superblock.hasErrors {
            throw VolumeError(
                .damaged,
                "the file system of the volume \"\(name)\" has errors; have it put right first: swiftlet volume check --repair \(name)"
            )
        }
        // A disk that is not to be written to cannot have its journal played back.
        if superblock.needsRecovery, attachment.isReadOnly {
            throw VolumeError(
                .damaged,
                "the volume \"\(name)\" was in use when its machine died, and what its journal holds must be written before it can be read; use it once without :ro, or: swiftlet volume check --repair \(name)"
            )
        }
    }

    private func superblock(_ name: String) throws(VolumeError) -> Ext4Superblock? {
        try volumeFiles { () throws(HostFileError) in
            var bytes = [UInt8](repeating: 0, count: Ext4Superblock.byteCount)
            let file = try HostFile(HostPath(disk(name)))
            let count = try file.read(bytes.count, at: Ext4Superblock.offset, into: &bytes)
            return Ext4Superblock(Array(bytes[..<count]))
        }
    }

    /// Writes down that the image's files need not be copied to the volume any more.
    func markFilled(_ name: String) throws(VolumeError) {
        var record = try find(name)
        record.isFilled = true
        try record.write(to: folder(name))
    }

    /// What e2fsck says of a volume that nobody uses.
    ///
    /// Trust: guests wrote the file system, and e2fsck reads it with this user's rights; so this is never done unasked.
    public func check(_ name: String, repairs: Bool) throws(VolumeError) -> (isWhole: Bool, text: String) {
        try Self.check(name: name)
        guard HostPath(disk(name)).exists else { return try missing(name) }
        let file = try volumeFiles { () throws(HostFileError) in try HostFile(HostPath(disk(name))) }
        guard file.tryLock() else { throw Self.used(name) }
        defer { extendLifetime(file) }
        return try FileSystemTools.check(HostPath(disk(name)), repairs: repairs)
    }

    private func missing<Result>(_ name: String) throws(VolumeError) -> Result {
        _ = try find(name)
        throw VolumeError(
            .damaged, "the disk of the volume \"\(name)\" is gone; `swiftlet volume rm \(name)` forgets it")
    }

    static func used(_ name: String) -> VolumeError {
        VolumeError(
            .inUse, "the volume \"\(name)\" is in use; `swiftlet volume inspect \(name)` names the machine")
    }

    /// Removes a volume that nobody uses, with all that is on it.
    /// - Parameter force: also one whose record cannot be read.
    public func remove(_ name: String, force: Bool = false) throws(VolumeError) {
        do throws(VolumeError) { _ = try find(name) } catch {
            guard force, error.code == .damaged else { throw error }
        }
        let lock: HostFile? =
            HostPath(disk(name)).exists
            ? try volumeFiles { () throws(HostFileError) in try HostFile(HostPath(disk(name))) } : nil
        guard lock?.tryLock() ?? true else { throw Self.used(name) }
        let old = root.appending(".old-\(processID())-\(name)")
        try volumeFiles { () throws(HostFileError) in try folder(name).rename(to: old) }
        Self.removeTree(old)
        extendLifetime(lock)
    }

    /// What processes that were killed half-way have left.
    private func removeLeftovers() {
        for name in ((try? root.folderNames()) ?? []).map({ String(decoding: $0, as: UTF8.self) }) {
            let parts = name.split(separator: "-", maxSplits: 2)
            guard parts.count == 3, parts[0] == ".new" || parts[0] == ".old", let process = Int(parts[1]),
                !HostPath("/proc/\(process)").exists
            else { continue }
            Self.removeTree(root.appending(name))
        }
    }

    private static func removeTree(_ folder: HostPath) {
        for name in (try? folder.folderNames()) ?? [] { try? folder.appending(name).removeFile() }
        try? folder.removeEmptyFolder()
    }
}
