import GuestMemory
import LinuxCalls
import Snapshots

/// What a snapshot's memory file is to have.
public enum SnapshotKind: Sendable {
    case full
    /// What changed since an earlier snapshot; all, when there is none and the machine has tracked its changes from the start.
    case differential
}

/// Memory files: written while the machine stands still, or while it goes on.
extension Machine {
    /// Writes a snapshot to two empty files. The machine must stand still, and go on only afterwards.
    /// - Returns: how many bytes of memory were written; the rest is holes.
    /// - Throws: leaving the machine as it was, and the files of no use.
    public func writeSnapshot(
        _ kind: SnapshotKind = .full, state stateFile: Int32, memory memoryFile: Int32, configuration: [UInt8] = []
    ) throws(MachineError) -> UInt64 {
        let state = try saveState(configuration: configuration)
        let isDifferential = try isDifferential(kind)
        do throws(LinuxError) {
            try writeAll(stateFile, state.encoded)
            if isDifferential {
                let pages = try allChanges()
                let written = try memory.write(pages, to: memoryFile)
                try writeTrailer(differentialTrailer(state, pages), to: memoryFile)
                try note(state.identifier, pages)
                return written
            }
            let written = try memory.writeImage(to: memoryFile)
            try writeTrailer(fullTrailer(state), to: memoryFile)
            // Nothing is laid over memory that is plugged.
            if memory.pluggedBytes > 0 { return written }
            if changes.isTracking && memory.backing == .shared && !memory.hasHugePages {
                _ = try memory.freeze()
                changes.begin(with: state.identifier)
            } else if memory.backing != .shared, seesPageTable {
                try note(state.identifier, allChanges())
            }
            return written
        } catch { throw .system(doing: "write the snapshot", error) }
    }

    /// Begins a snapshot of a machine that stands still and may go on as soon as this returns; what the guest writes from
    /// then on is not in it. One at a time.
    /// - Parameters: as those of `writeSnapshot`; the state is written at once.
    /// - Returns: nil when all of it is written, for plugged memory that cannot be set aside.
    public func beginSnapshot(
        _ kind: SnapshotKind = .full, state stateFile: Int32, memory memoryFile: Int32, configuration: [UInt8] = []
    ) throws(MachineError) -> SnapshotCopy? {
        if memory.pluggedBytes > 0, memory.backing == .shared {
            _ = try writeSnapshot(kind, state: stateFile, memory: memoryFile, configuration: configuration)
            return nil
        }
        let state = try saveState(configuration: configuration)
        let isDifferential = try isDifferential(kind)
        do throws(LinuxError) {
            try writeAll(stateFile, state.encoded)
            if let hugePages {
                try hugePages.beginKeeping(memoryFile)
                return SnapshotCopy(.hugePages(hugePages), state.identifier, fullTrailer(state), memory.totalBytes)
            }
            if memory.backing == .shared {
                let frozen = try memory.freeze()
                changes.begin(with: state.identifier)
                return SnapshotCopy(.frozen(frozen), state.identifier, fullTrailer(state), memory.totalBytes)
            }
            // To ask the kernel for these takes a good part of the time that the copy does, and only this kind needs them
            // before it.
            let pages = isDifferential ? try allChanges() : PageRuns()
            // Nothing is allocated in there.
            let memory = memory
            // Nobody asks for them where something is plugged.
            if !isDifferential, seesPageTable, memory.pluggedBytes == 0 { memory.noteDiscards() }
            let process = try ProcessCopy(keeping: memoryFile) { () throws(LinuxError) in
                _ = isDifferential ? try memory.write(pages, to: memoryFile) : try memory.writeImage(to: memoryFile)
            }
            // What changed since an earlier one is known in any case, for the kernel's record goes on.
            if isDifferential { changes.add(state.identifier, pages) }
            return SnapshotCopy(
                .process(process), state.identifier,
                isDifferential ? differentialTrailer(state, pages) : fullTrailer(state), memory.imageBytes)
        } catch { throw .system(doing: "write the snapshot", error) }
    }

    /// Writes the memory of a snapshot that was begun, while the guest runs, and returns when the file is whole.
    public func finish(_ copy: consuming SnapshotCopy, memory memoryFile: Int32) throws(MachineError) {
        let identifier = copy.identifier
        do throws(LinuxError) {
            let isPlain = copy.imageBytes == memory.totalBytes && !memory.hasHugePages
            if !changes.parents.contains(identifier), seesPageTable, isPlain {
                // What has changed by now, or was given back meanwhile, is all that had changed then and perhaps more.
                let pages = try allChanges()
                changes.add(identifier, pages.union(memory.takeDiscards()))
            }
            try copy.write(to: memoryFile)
        } catch {
            _ = memory.takeDiscards()
            changes.remove(identifier)
            throw .system(doing: "write the snapshot", error)
        }
    }

    private func isDifferential(_ kind: SnapshotKind) throws(MachineError) -> Bool {
        // Which huge pages changed is not known: all are written.
        if kind == .full || memory.hasHugePages { return false }
        guard memory.pluggedBytes == 0 else {
            throw .plugged(
                "memory is plugged, which only full snapshots have: make one, or unplug it (requested_size_mib 0)")
        }
        guard seesPageTable else { throw .changesUnseen }
        if changes.isLayable { return true }
        // The first of them has all there is, for nothing has been kept yet.
        guard changes.isTracking, memory.backing == .shared else { throw .changesUnknown }
        return false
    }

    private func allChanges() throws(LinuxError) -> PageRuns { try memory.changedPages().union(changes.earlier) }

    /// A snapshot has these pages.
    private func note(_ identifier: [UInt8], _ pages: PageRuns) throws(LinuxError) {
        if memory.backing == .frozen {
            try memory.settleChanges(memory.changedPages())
            changes.begin(with: identifier)
        } else {
            changes.add(identifier, pages)
        }
    }

    private func fullTrailer(_ state: MachineState) -> [UInt8] {
        // The page is whole, though only its beginning says something.
        let trailer = MemoryImage.trailer(identifier: state.identifier, memoryBytes: memory.imageBytes)
        return trailer + [UInt8](repeating: 0, count: MemoryImage.trailerBytes - trailer.count)
    }

    private func differentialTrailer(_ state: MachineState, _ pages: PageRuns) -> [UInt8] {
        DifferentialImage.trailer(
            identifier: state.identifier, memoryBytes: memory.totalBytes, parents: changes.parents, pages: pages)
    }

    private func writeTrailer(_ trailer: [UInt8], to file: Int32) throws(LinuxError) {
        try writeAll(file, trailer, offset: memory.imageBytes)
    }
}

/// The memory of a snapshot that was begun, as it was at that instant. Of any one thread.
public struct SnapshotCopy: ~Copyable, Sendable {
    enum Source: ~Copyable {
        /// Pages that nobody changes any more.
        case frozen(FrozenMemory)
        /// A copy of this process that writes them.
        case process(ProcessCopy)
        /// Pages that are written before they are changed.
        case hugePages(HugePageServer)
    }

    private let source: Source
    public let identifier: [UInt8]
    private let trailer: [UInt8]
    let imageBytes: UInt64

    init(_ source: consuming Source, _ identifier: [UInt8], _ trailer: [UInt8], _ imageBytes: UInt64) {
        self.source = source
        self.identifier = identifier
        self.trailer = trailer
        self.imageBytes = imageBytes
    }

    consuming func write(to file: Int32) throws(LinuxError) {
        switch consume source {
        case .frozen(let frozen): _ = try frozen.writeImage(to: file)
        case .process(let process): try process.wait()
        case .hugePages(let server): try server.finishKeeping()
        }
        try writeAll(file, trailer, offset: imageBytes)
    }
}
