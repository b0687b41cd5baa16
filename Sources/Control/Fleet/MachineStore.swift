import CLinux
import Glibc
import HostFiles
import LinuxCalls

/// Every machine of one user: a folder each, with a record and a lock that its owner holds.
///
/// Several processes use it at once. A machine whose owner is gone is put right by whoever looks next.
public struct MachineStore: Sendable {
    public let paths: ProductPaths

    public init(_ paths: ProductPaths) { self.paths = paths }

    private var root: HostPath { HostPath(paths.machines) }
    private var names: HostPath { root.appending(".names") }
    func folder(_ id: String) -> HostPath { root.appending(id) }

    /// Writes a new machine down; the caller owns it from then on.
    ///
    /// The folder appears under its id when it is whole and locked, so that nobody takes it for a leftover.
    public func create(_ specification: MachineSpecification, name: String?) throws(FleetError) -> OwnedMachine {
        if let name { try MachineNames.check(name) }
        return try withFabricAddresses(specification) { specification throws(FleetError) in
            try write(specification, name: name)
        }
    }

    private func write(_ specification: MachineSpecification, name: String?) throws(FleetError) -> OwnedMachine {
        try paths.makeRuntimeFolder()
        try files { () throws(HostFileError) in try names.makeFolders(mode: 0o700) }
        var generator = SystemRandomNumberGenerator()
        let id = MachineNames.identifier(using: &generator)
        let draft = root.appending(".new-\(id)")
        try files { () throws(HostFileError) in try draft.makeFolders(mode: 0o700) }
        let lock: MachineLock
        do throws(LinuxError) {
            guard let taken = try MachineLock.take(in: draft, creates: true) else {
                throw LinuxError(EBUSY)
            }
            lock = taken
        } catch {
            Self.removeTree(draft)
            throw FleetError(error.number == ENOSPC ? .diskFull : .unusableFolder, "cannot make \(draft): \(error)")
        }
        do throws(FleetError) {
            let chosen = try claimName(name, for: id, using: &generator)
            var record = MachineRecord(
                id: id, name: chosen, specification: specification,
                createdSeconds: Int64(Clock.realTime.nanoseconds() / 1_000_000_000),
                socketPath: paths.socketPath(id))
            record.networkNumbers = try freeNetworkNumbers(
                specification.ownNetworkCount, using: &generator)
            do throws(FleetError) {
                try record.write(to: draft)
                let isLasting = record.outlivesPowerLoss
                try files { () throws(HostFileError) in
                    // In this order: a name that leads nowhere is free again, a machine without one could not be called.
                    if isLasting { try names.synchronizeFolder() }
                    try draft.rename(to: folder(id))
                    if isLasting { try root.synchronizeFolder() }
                }
            } catch {
                try? names.appending(chosen).removeFile()
                throw error
            }
            return OwnedMachine(store: self, record: record, lock: lock)
        } catch {
            Self.removeTree(draft)
            throw error
        }
    }

    /// A name is a symbolic link to an id: making one either succeeds for exactly one process or shows whose it is.
    private func claimName(
        _ wanted: String?, for id: String, using generator: inout SystemRandomNumberGenerator
    ) throws(FleetError) -> String {
        for attempt in 0..<200 {
            var name = wanted ?? MachineNames.generate(using: &generator)
            if wanted == nil, attempt > 20 { name += "-\(Int.random(in: 2...9999, using: &generator))" }
            let link = names.appending(name)
            // SAFETY: both texts are valid during the call.
            if unsafe symlink(id, link.description) == 0 { return name }
            guard errno == EEXIST else {
                throw FleetError(.unusableFolder, "cannot write the name \(link): \(LinuxError(errno))")
            }
            let holder = (try? link.linkTarget()).map { String(decoding: $0, as: UTF8.self) } ?? ""
            // In this order: a draft that is gone has become a folder before that is looked for.
            if !root.appending(".new-\(holder)").exists, !folder(holder).exists {
                try? link.removeFile()
            } else if let wanted {
                throw FleetError(
                    .duplicateName,
                    "a machine is called \"\(wanted)\" already (\(holder)); choose another name, or remove it: swiftlet rm \(wanted)"
                )
            }
        }
        throw FleetError(.duplicateName, "no free name was found; give one with --name")
    }

    /// Those that a machine has which does not run are its own as long as there are others: it is to have the same devices
    /// when it begins again.
    ///
    /// At random, so that two commands at once, or two users, hardly ever take the same; where they do, the second one
    /// cannot make its device and says so.
    func freeNetworkNumbers(
        _ count: Int, using generator: inout SystemRandomNumberGenerator
    ) throws(FleetError) -> [Int] {
        guard count > 0 else { return [] }
        let machines = list()
        let taken = Set(
            machines.filter { !$0.state.isOver }.flatMap {
                $0.networkNumbers + attachments(of: $0).compactMap(\.networkNumber)
            })
        // Of appliances that are gone, too, as long as a wire waits for them.
        let entries = machines.flatMap { readableLine(of: $0).entries } + readablePassages().flatMap(\.entries)
        let kept = Set(
            entries.flatMap(\.ends).map { Int($0) - 1 }
                + machines.filter(\.state.isOver).flatMap {
                    $0.networkNumbers + suspendedAttachments(of: $0).compactMap(\.networkNumber)
                })
        var free = OwnNetwork.numbers.filter { !taken.contains($0) && !kept.contains($0) }
        if free.count < count { free = OwnNetwork.numbers.filter { !taken.contains($0) } }
        guard free.count >= count else {
            throw FleetError(
                .unusableNetwork,
                "\(taken.count) networks are taken, and not \(count) are left; end a machine that has one")
        }
        for place in 0..<count { free.swapAt(place, Int.random(in: place..<free.count, using: &generator)) }
        return Array(free.prefix(count))
    }

    /// Every machine, the newest first.
    public func list() -> [MachineRecord] {
        identifiers().compactMap { record($0) }.sorted { ($0.createdSeconds, $0.id) > ($1.createdSeconds, $1.id) }
    }

    /// The ids of the machines of which nothing is known but where they are kept.
    public func listDamaged() -> [String] { identifiers().filter { isDamaged($0) } }

    /// - Throws: when the folder of the machines cannot be read, and nobody knows what there is. One that is not there yet
    ///   holds none.
    public func checkReadable() throws(FleetError) {
        try files { () throws(HostFileError) in
            do throws(HostFileError) { _ = try root.folderNames() } catch {
                if !error.isAbsent { throw error }
            }
        }
    }

    private func identifiers() -> [String] {
        ((try? root.folderNames()) ?? []).map { String(decoding: $0, as: UTF8.self) }.filter { !$0.hasPrefix(".") }
    }

    /// As it is now: what says that it runs and is owned by nobody is put right first.
    private func record(_ id: String) -> MachineRecord? {
        guard let record = MachineRecord.read(from: folder(id)) else { return nil }
        if record.state.isOver {
            ControlGroups(store: self, record: record).remove()
            return record
        }
        guard let lock = try? MachineLock.take(in: folder(id)) else { return withPause(record) }
        // Read again: the owner may have finished between the two.
        guard var record = MachineRecord.read(from: folder(id)) else { return nil }
        defer { extendLifetime(lock) }
        if record.state.isOver { return record }
        let isSuspended = isSuspended(record)
        record.state = isSuspended ? .suspended : .failed
        record.failure = isSuspended ? nil : "its owner ended without a word (was it killed?)"
        if isSuspended { record.isStopped = true }
        record.isOrphaned = true
        record.endedSeconds = Int64(Clock.realTime.nanoseconds() / 1_000_000_000)
        removeRuntimeFiles(record)
        if record.specification.removesItself, !isSuspended {
            removeFolder(record)
            return nil
        }
        try? record.write(to: folder(id))
        return record
    }

    /// The machine that a name, an id or the first digits of one mean.
    public func find(_ reference: String) throws(FleetError) -> MachineRecord {
        let id = try identifier(reference)
        if let id, let record = record(id) {
            guard record.name == reference || record.id.hasPrefix(reference) else { throw Self.unknown(reference) }
            return record
        }
        try checkReadable()
        guard let id, isDamaged(id) else { throw Self.unknown(reference) }
        throw FleetError(
            .damagedRecord,
            "the record of the machine \"\(reference)\" cannot be read; `swiftlet rm --force \(reference)` removes it")
    }

    private static func unknown(_ reference: String) -> FleetError {
        FleetError(.unknownMachine, "no machine is called \"\(reference)\"; `swiftlet ps --all` shows what there is")
    }

    /// A folder with a record that is none.
    private func isDamaged(_ id: String) -> Bool {
        // In this order: one that is being removed is gone by then.
        MachineRecord.read(from: folder(id)) == nil && folder(id).appending(MachineRecord.fileName).exists
    }

    /// Removes a machine of which nothing is known but where it is kept.
    /// - Returns: false when it has a record that can be read, or is not there.
    public func removeDamaged(_ reference: String) throws(FleetError) -> Bool {
        guard let id = try identifier(reference), isDamaged(id) else { return false }
        let taken: MachineLock?
        do throws(LinuxError) { taken = try MachineLock.take(in: folder(id), creates: true) } catch {
            throw FleetError(.unusableFolder, "cannot remove \(folder(id)): \(error)")
        }
        guard let lock = taken else {
            throw FleetError(
                .stillRunning,
                "the record of the machine \"\(reference)\" cannot be read, and a process still owns it: the one that holds \(folder(id))/\(MachineLock.fileName); end that, and remove it then"
            )
        }
        paths.removeSockets(id)
        for name in (try? names.folderNames()) ?? [] {
            let link = names.appending(String(decoding: name, as: UTF8.self))
            if let target = try? link.linkTarget(), target.elementsEqual(id.utf8) { try? link.removeFile() }
        }
        Self.removeTree(folder(id))
        extendLifetime(lock)
        return true
    }

    /// The id of a machine that is there; nil when none is meant.
    private func identifier(_ reference: String) throws(FleetError) -> String? {
        if (try? MachineNames.check(reference)) != nil, let target = try? names.appending(reference).linkTarget() {
            let id = String(decoding: target, as: UTF8.self)
            if !id.contains("/"), !id.hasPrefix("."), folder(id).exists { return id }
        }
        let isHexadecimal = reference.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
        let matches = isHexadecimal && reference.utf8.count >= 3 ? identifiers().filter { $0.hasPrefix(reference) } : []
        if matches.count > 1 {
            throw FleetError(.ambiguousReference, "\"\(reference)\" could be any of \(matches.joined(separator: ", "))")
        }
        return matches.first
    }

    /// As `find`, and it runs.
    public func findRunning(_ reference: String) throws(FleetError) -> MachineRecord {
        let record = try find(reference)
        guard !record.state.isOver, record.state != .restarting else {
            throw FleetError(
                .notRunning, "the machine \"\(record.name)\" does not run (it is \(record.state.rawValue))")
        }
        return record
    }

    /// Puts right what killed command lines left: records, sockets, half-made folders.
    public func cleanLeftovers() {
        for name in ((try? root.folderNames()) ?? []).map({ String(decoding: $0, as: UTF8.self) }) {
            if name.hasPrefix(".new-") {
                let draft = root.appending(name)
                if !MachineLock.isHeld(in: draft) { Self.removeTree(draft) }
            } else if !name.hasPrefix("."), record(name) == nil {
                removeUnfinished(folder(name))
            }
        }
    }

    /// A folder gets its name with a record in it, so one without is what a removal that was killed has left.
    private func removeUnfinished(_ folder: HostPath) {
        guard let lock = try? MachineLock.take(in: folder, creates: true) else { return }
        if !folder.appending(MachineRecord.fileName).exists { Self.removeTree(folder) }
        extendLifetime(lock)
    }

    /// Takes a machine that has ended off the list, with its logs.
    public func remove(_ record: MachineRecord) throws(FleetError) {
        let lock = try lockForRemoval(record)
        // What a file system that cannot be written to says is told before anything is half removed.
        try files { () throws(HostFileError) in try removeName(record) }
        removeRuntimeFiles(record)
        removeFolder(record)
        extendLifetime(lock)
    }

    /// Nil where there is no file to hold.
    private func lockForRemoval(_ record: MachineRecord) throws(FleetError) -> MachineLock? {
        do throws(LinuxError) {
            if let lock = try lockOnceOver(record.id) { return lock }
        } catch {
            if error.number == ENOENT { return nil }
            throw FleetError(.unusableFolder, "cannot remove \(folder(record.id)): \(error)")
        }
        throw FleetError(
            .stillRunning,
            "the machine \"\(record.name)\" runs; stop it first, or remove it with `swiftlet rm --force \(record.name)`"
        )
    }

    /// The lock of a machine that has ended; nil for one that runs. Who has ended it, or is removing it, holds it for a moment
    /// longer.
    func lockOnceOver(_ id: String) throws(LinuxError) -> MachineLock? {
        let end = Clock.monotonic.nanoseconds() + Self.lettingGoNanoseconds
        while true {
            if let lock = try MachineLock.take(in: folder(id)) { return lock }
            let isOver = MachineRecord.read(from: folder(id))?.state.isOver ?? true
            guard isOver, Clock.monotonic.nanoseconds() < end else { return nil }
            LinuxCalls.sleep(nanoseconds: 5_000_000)
        }
    }

    /// Of a machine that has ended.
    private static let lettingGoNanoseconds: UInt64 = 30_000_000_000

    /// Frees a machine's name, if it has not passed to another.
    private func removeName(_ record: MachineRecord) throws(HostFileError) {
        let link = names.appending(record.name)
        guard let target = try? link.linkTarget(), target == Array(record.id.utf8) else { return }
        try link.removeFile()
    }

    func removeRuntimeFiles(_ record: MachineRecord) {
        ControlGroups(store: self, record: record).remove()
        guard !record.isEmulated else { return }
        paths.removeSockets(record.id)
    }

    func removeFolder(_ record: MachineRecord) {
        try? removeName(record)
        Self.removeTree(folder(record.id))
    }

    /// The files of a folder without folders in it but `OwnedMachine.controlFolder`, and the folder: the record first, the lock last, so that whoever
    /// finds a record finds the lock that goes with it.
    private static func removeTree(_ folder: HostPath) {
        let lock = Array(MachineLock.fileName.utf8)
        try? folder.appending(MachineRecord.fileName).removeFile()
        for name in (try? folder.folderNames()) ?? [] where name != lock { try? folder.appending(name).removeFile() }
        Self.removeFiles(in: folder.appending(OwnedMachine.controlFolder))
        try? folder.appending(lock).removeFile()
        // SAFETY: the text is valid during the call.
        unsafe rmdir(folder.description)
    }

    /// The files of a folder, and the folder.
    static func removeFiles(in folder: HostPath) {
        for name in (try? folder.folderNames()) ?? [] { try? folder.appending(name).removeFile() }
        // SAFETY: the text is valid during the call.
        unsafe rmdir(folder.description)
    }

    /// Whether a process holds the machine, whatever its record says.
    public func isOwned(_ record: MachineRecord) -> Bool { MachineLock.isHeld(in: folder(record.id)) }

    /// Waits until the owner has let go of the machine.
    public func waitUntilOver(_ record: MachineRecord, milliseconds: UInt64) -> Bool {
        let end = Clock.monotonic.nanoseconds() + milliseconds * 1_000_000
        while MachineLock.isHeld(in: folder(record.id)), folder(record.id).exists {
            if Clock.monotonic.nanoseconds() > end { return false }
            LinuxCalls.sleep(nanoseconds: 5_000_000)
        }
        return true
    }

    public func outputLog(_ record: MachineRecord) -> String { folder(record.id).appending("output.log").description }
    public func consoleLog(_ record: MachineRecord) -> String { folder(record.id).appending("console.log").description }
}

enum VsockPorts {
    static let agent: UInt32 = 1024
}

/// A machine that this process owns.
public final class OwnedMachine: @unchecked Sendable {
    public let store: MachineStore
    public private(set) var record: MachineRecord
    let lock: MachineLock
    /// Let go of with the machine.
    var diskLocks: [DiskLock] = []

    init(store: MachineStore, record: MachineRecord, lock: consuming MachineLock) {
        self.store = store
        self.record = record
        self.lock = lock
    }

    /// Takes over a machine whose lock was inherited as a descriptor.
    public init(store: MachineStore, id: String, inheritedLock: Int32) throws(FleetError) {
        let lock = MachineLock(descriptor: FileDescriptor(owning: inheritedLock))
        guard var record = MachineRecord.read(from: store.folder(id)) else {
            throw FleetError(.unknownMachine, "the record of machine \(id) cannot be read")
        }
        record.takeOver()
        self.store = store
        self.record = record
        self.lock = lock
        try save()
    }

    public var lockDescriptor: Int32 { lock.descriptor.number }
    var folder: HostPath { store.folder(record.id) }

    /// Nobody will run it.
    public func abandon(_ reason: String) { finish(exitStatus: nil, failure: reason) }

    /// A file in the machine's folder: whoever made it wants the machine to boot anew when its program ends.
    static let restartRequest = "restart-request"

    /// Whether somebody wants that; asked once.
    func takeRestartRequest() -> Bool {
        let request = folder.appending(Self.restartRequest)
        guard request.exists else { return false }
        return (try? request.removeFile()) != nil
    }

    /// For one who begins again: what has gone wrong in the run before is not what goes wrong in this one.
    func turnConsoleOver() {
        let console = HostPath(store.consoleLog(record))
        try? console.rename(to: HostPath("\(console).1"))
    }

    /// For who begins a run: limits, published ports and rules that were changed since the last one.
    func takeChangedLimits() {
        if let limits = MachineStore.changedLimits(in: folder) { record.specification.limits = limits }
        if let published = MachineStore.changedPublished(in: folder) { record.specification.published = published }
        if let egress = MachineStore.changedEgress(in: folder) { record.specification.egress = egress.rules }
    }

    func update(_ change: (inout MachineRecord) -> Void) throws(FleetError) {
        change(&record)
        try save()
    }

    func save() throws(FleetError) { try record.write(to: folder) }

    /// Records the end. A machine that removes itself is gone afterwards.
    /// - Parameter isStopped: somebody has ended it.
    func finish(exitStatus: Int32?, failure: String?, isStopped: Bool = false) {
        let isSuspended = store.isSuspended(record)
        let (exitStatus, failure) = isSuspended ? (nil, nil) : (exitStatus, failure)
        record.state = isSuspended ? .suspended : exitStatus == nil ? .failed : .exited
        record.isStopped = (isStopped || isSuspended) && !store.comesBack(record) ? true : nil
        record.exitStatus = exitStatus
        record.failure = failure
        record.endedSeconds = Int64(Clock.realTime.nanoseconds() / 1_000_000_000)
        store.removeRuntimeFiles(record)
        if !isSuspended { Suspension.remove(from: folder) }
        if record.specification.removesItself, !isSuspended { return store.removeFolder(record) }
        do throws(FleetError) { try save() } catch {
            // How it ended is worth more than a whole write: a disk that is full may have been filled by its own logs.
            try? record.overwrite(in: folder)
        }
    }
}
