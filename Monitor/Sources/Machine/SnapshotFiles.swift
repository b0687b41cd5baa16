import CLinux
import GuestMemory
import LinuxCalls
public import Snapshots

/// Where a snapshot lies on the host: a state file and a memory file.
public struct SnapshotFiles: Sendable {
    public let statePath: String
    public let memoryPath: String
    private let folder: Int32?

    /// - Parameter folder: an open folder, the caller's, in which both lie by plain names; nothing else of the host is
    ///   reached then. Nil: the paths lead anywhere.
    public init(statePath: String, memoryPath: String, in folder: Int32? = nil) {
        self.statePath = statePath
        self.memoryPath = memoryPath
        self.folder = folder
    }

    /// Writes a snapshot of a machine that stands still. Both files get their names only when they are whole, and replace
    /// what had them; who has that open, a clone for instance, keeps it.
    /// - Parameters:
    ///   - kind: one that is differential and would replace the memory that it is relative to is a full one instead.
    ///   - configuration: kept with the state, for who restores it without one of his own.
    /// - Returns: how many bytes of memory were written.
    /// - Throws: leaving nothing behind, and the machine as it was.
    public func write(
        _ machine: Machine, _ kind: SnapshotKind = .full, configuration: [UInt8]
    ) throws(MachineError) -> UInt64 {
        let kind = kind == .differential && holdsParent(of: machine) ? .full : kind
        return try writeWhole(machine) { state, memory throws(MachineError) in
            try machine.writeSnapshot(kind, state: state, memory: memory, configuration: configuration)
        }
    }

    /// Writes a snapshot of a machine that runs: it stands still only while its state is saved and its memory is kept aside.
    /// - Returns: for how many nanoseconds it stood still.
    /// - Throws: leaving nothing behind, and the machine running.
    public func writeLive(
        _ machine: Machine, _ kind: SnapshotKind = .full, configuration: [UInt8]
    ) throws(MachineError) -> UInt64 {
        let kind = kind == .differential && holdsParent(of: machine) ? .full : kind
        if let hugePages = machine.hugePages, hugePages.protection == nil { throw .pagesUnkept(hugePages.refusal) }
        return try writeWhole(machine) { state, memory throws(MachineError) in
            do throws(LinuxError) { try machine.memory.awaitAllPages() } catch {
                throw .system(doing: "have all of the machine's memory", error)
            }
            let begin = Clock.monotonic.nanoseconds()
            machine.pause()
            var copy: SnapshotCopy?
            var failure: MachineError?
            do throws(MachineError) {
                copy = try machine.beginSnapshot(kind, state: state, memory: memory, configuration: configuration)
            } catch { failure = error }
            try machine.resume()
            let pause = Clock.monotonic.nanoseconds() - begin
            if let failure { throw failure }
            if let copy = copy.take() { try machine.finish(copy, memory: memory) }
            return pause
        }
    }

    /// - Parameter write: fills the two empty files.
    private func writeWhole(
        _ machine: Machine, _ write: (_ state: Int32, _ memory: Int32) throws(MachineError) -> UInt64
    ) throws(MachineError) -> UInt64 {
        let partialState = statePath + ".partial"
        let partialMemory = memoryPath + ".partial"
        let known = machine.changes.parents
        do throws(MachineError) {
            let state = try make(partialState)
            let memory = try make(partialMemory)
            let result = try write(state.number, memory.number)
            try rename(partialMemory, memoryPath)
            try rename(partialState, statePath)
            return result
        } catch {
            try? remove(partialState)
            try? remove(partialMemory)
            for parent in machine.changes.parents where !known.contains(parent) { machine.changes.remove(parent) }
            throw error
        }
    }

    /// Whether the file that would be replaced is memory that a differential snapshot would be relative to.
    private func holdsParent(of machine: Machine) -> Bool {
        guard machine.seesPageTable, let file = try? open(memoryPath),
            let found = try? MemoryImage.readTrailer(file.number)
        else { return false }
        return machine.changes.parents.contains(found.identifier)
    }

    /// Where the working set of a machine that was made from this snapshot is kept.
    private var workingSetPath: String { memoryPath + ".pages" }

    /// Writes down what a machine that was made from this snapshot has touched so far, for those that are made from it later.
    public func writeWorkingSet(_ machine: Machine) throws(MachineError) {
        let identifier: [UInt8]
        let file: FileDescriptor
        do throws(LinuxError) { file = try open(memoryPath) } catch {
            throw .file(purpose: "snapshot's memory file", path: memoryPath, error)
        }
        do throws(SnapshotError) { identifier = try MemoryImage.readTrailer(file.number).identifier } catch {
            throw .snapshot(error)
        }
        let set = try machine.touchedPages()
        guard machine.oldestSnapshot == identifier else { throw .snapshot(.foreignMemory) }
        let partial = workingSetPath + ".partial"
        do throws(MachineError) {
            let file = try make(partial)
            do throws(LinuxError) {
                try writeAll(file.number, set.encoded(identifier: identifier, memoryBytes: machine.memory.totalBytes))
            } catch { throw .file(purpose: "working set", path: partial, error) }
            try rename(partial, workingSetPath)
        } catch {
            try? remove(partial)
            throw error
        }
    }

    /// The working set that is kept beside the memory file; nil when there is none that belongs to the state.
    public func readWorkingSet(of state: MachineState) -> WorkingSet? {
        guard let file = try? open(workingSetPath),
            let bytes = try? Self.contents(of: file.number, atMost: WorkingSet.maximumBytes)
        else { return nil }
        return WorkingSet(
            decoding: bytes, identifier: state.identifier,
            memoryBytes: state.memoryMebibytes.multipliedReportingOverflow(by: 1 << 20).partialValue)
    }

    /// Reads the state file. Trust: it may hold anything.
    public func readState() throws(MachineError) -> MachineState { try readState(openState()) }

    /// Opens the state file, for who gives up everything else before he reads it. A pipe is not waited for.
    public func openState() throws(MachineError) -> FileDescriptor {
        do throws(LinuxError) { return try open(statePath) } catch {
            throw .file(purpose: "snapshot's state file", path: statePath, error)
        }
    }

    public func readState(_ file: consuming FileDescriptor) throws(MachineError) -> MachineState {
        let bytes: [UInt8]
        do throws(LinuxError) {
            // One byte more than may be, so that what is too long is seen to be.
            bytes = try Self.contents(of: file.number, atMost: SnapshotFormat.maximumBytes + 1)
        } catch { throw .file(purpose: "snapshot's state file", path: statePath, error) }
        do throws(SnapshotError) { return try MachineState(decoding: bytes) } catch { throw .snapshot(error) }
    }

    /// As much room as the file is long: each page of a larger one would be a page fault of the restore.
    private static func contents(of file: Int32, atMost count: Int) throws(LinuxError) -> [UInt8] {
        try readBytes(file, offset: 0, count: Int(min(try fileSizeBytes(file), UInt64(count))))
    }

    /// Opens the memory file, if it is the one that belongs to a state.
    public func openMemory(of state: MachineState) throws(MachineError) -> MemoryImage {
        try memory(of: state, in: openMemory())
    }

    /// Opens whatever has its name.
    public func openMemory() throws(MachineError) -> FileDescriptor {
        do throws(LinuxError) { return try open(memoryPath) } catch {
            throw .file(purpose: "snapshot's memory file", path: memoryPath, error)
        }
    }

    public func memory(
        of state: MachineState, in file: consuming FileDescriptor
    ) throws(MachineError) -> MemoryImage {
        let (memoryBytes, overflow) = state.memoryMebibytes.multipliedReportingOverflow(by: 1 << 20)
        guard !overflow else { throw .snapshot(.malformed("machine")) }
        guard let pluggedBytes = state.pluggedBytes else { throw .snapshot(.malformed("device")) }
        do throws(SnapshotError) {
            return try MemoryImage(
                file, identifier: state.identifier, memoryBytes: memoryBytes, pluggedBytes: pluggedBytes)
        } catch { throw .snapshot(error) }
    }

    /// Opens the memory file with the hash tree against which its pages are checked.
    /// - Parameter path: where the tree lies, as the other two.
    public func openMemory(
        of state: MachineState, tree path: String, root: [UInt8]
    ) throws(MachineError) -> CheckedImage {
        guard let root = PageDigest(bytes: root) else { throw .snapshot(.wrongRoot) }
        let tree: FileDescriptor
        do throws(LinuxError) { tree = try open(path) } catch {
            throw .file(purpose: "hash tree of the snapshot's memory", path: path, error)
        }
        let image = try openMemory(of: state)
        do throws(SnapshotError) { return try CheckedImage(image, tree: tree, root: root) } catch {
            throw .snapshot(error)
        }
    }

    // MARK: Files by their names

    private func open(_ path: String) throws(LinuxError) -> FileDescriptor {
        guard let folder else { return try LinuxCalls.open(path, [.readOnly, .nonBlocking]) }
        return try FileTree.open(Self.plain(path), beneath: folder, [.readOnly, .nonBlocking])
    }

    private func make(_ path: String) throws(MachineError) -> FileDescriptor {
        let flags: OpenFlags = [.readWrite, .create, .exclusive, .noFollow]
        do throws(LinuxError) {
            // One that a writer left that was killed is of no use to anybody.
            try remove(path)
            guard let folder else { return try LinuxCalls.open(path, flags, mode: 0o600) }
            return try FileTree.open(Self.plain(path), beneath: folder, flags, mode: 0o600)
        } catch { throw .file(purpose: "snapshot file", path: path, error) }
    }

    private func rename(_ path: String, _ other: String) throws(MachineError) {
        do throws(LinuxError) {
            guard let folder else { return try FileTree.rename(Array(path.utf8), to: Array(other.utf8)) }
            try FileTree.rename(Self.plain(path), in: folder, to: Self.plain(other))
        } catch { throw .file(purpose: "snapshot file", path: other, error) }
    }

    /// What is not there is as good as removed.
    private func remove(_ path: String) throws(LinuxError) {
        guard let folder else { return try removeFile(path) }
        do throws(LinuxError) { try FileTree.remove(Self.plain(path), in: folder) } catch {
            if error.number != ENOENT { throw error }
        }
    }

    /// - Throws: EINVAL for what is not the name of a file in a folder.
    private static func plain(_ name: String) throws(LinuxError) -> [UInt8] {
        let bytes = Array(name.utf8)
        guard !bytes.isEmpty, bytes.count <= 255, !bytes.contains(0x2f), name != ".", name != ".." else {
            throw .invalidArgument
        }
        return bytes
    }
}
