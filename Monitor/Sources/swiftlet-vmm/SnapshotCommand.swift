import Jail
import LinuxCalls
import Machine
import Snapshots
import VirtioDevices

/// Work on the files of snapshots; no machine is needed.
enum SnapshotCommand: Equatable {
    /// `changes` lie over a copy of `base`, the oldest first, in a new file.
    case merge(base: String, changes: [String], result: String)
    /// Whether a machine could be made of the two here.
    case check(state: String, memory: String)
    /// `changes` lie over `memory`, in its own file.
    case rebase(memory: String, changes: String)
    /// The hash tree of `memory` in a new file; its root is printed.
    case tree(memory: String, result: String)

    /// - Parameter arguments: behind `snapshot`, or with `edit-memory` first: the words of Firecracker's snapshot-editor.
    init(arguments: [String]) throws(InvocationError) {
        switch arguments.first {
        case "merge" where arguments.count >= 4:
            self = .merge(
                base: arguments[1], changes: Array(arguments[2..<(arguments.count - 1)]),
                result: arguments[arguments.count - 1])
        case "check" where arguments.count == 3: self = .check(state: arguments[1], memory: arguments[2])
        case "tree" where arguments.count == 3: self = .tree(memory: arguments[1], result: arguments[2])
        case "edit-memory": self = try Self.rebase(arguments.dropFirst())
        default:
            throw .invalidValue(
                option: "snapshot", found: arguments.first ?? "",
                wanted: "merge BASE DIFF... OUT, check STATE MEMORY, or tree MEMORY OUT")
        }
    }

    private static func rebase(_ arguments: ArraySlice<String>) throws(InvocationError) -> SnapshotCommand {
        var rest = arguments
        guard rest.popFirst() == "rebase" else {
            throw .invalidValue(
                option: "edit-memory", found: arguments.first ?? "",
                wanted: "rebase --memory-path MEMORY --diff-path DIFF")
        }
        var memory: String?
        var changes: String?
        while let argument = rest.popFirst() {
            guard let value = rest.popFirst() else { throw .missingValue(option: argument) }
            switch argument {
            case "--memory-path": memory = value
            case "--diff-path": changes = value
            default: throw .unknownArgument(argument)
            }
        }
        guard let memory else { throw .missingValue(option: "--memory-path") }
        guard let changes else { throw .missingValue(option: "--diff-path") }
        return .rebase(memory: memory, changes: changes)
    }

    /// Does it, and says what went wrong with which file.
    /// - Returns: the exit status.
    func run() -> Int32 {
        if case .check(let state, let memory) = self { return Self.check(state, memory) }
        do throws(FileTrouble) {
            switch self {
            case .check: break
            case .merge(let base, let changes, let result): try Self.merge(base, changes, result)
            case .rebase(let memory, let changes):
                let file = try Self.open(memory, .readWrite)
                try Self.lay(changes, over: file.number, keeping: memory)
            case .tree(let memory, let result): try Self.writeTree(of: memory, result)
            }
            return 0
        } catch {
            writeToStandardError("swiftlet-vmm: \(error.path): \(error.reason)\n")
            return ExitStatus.notBuilt
        }
    }

    /// Trust: both files may hold anything. What is said of a machine that could go on here is for who configures it.
    private static func check(_ statePath: String, _ memoryPath: String) -> Int32 {
        let files = SnapshotFiles(statePath: statePath, memoryPath: memoryPath)
        do throws(MachineError) {
            // Trust: none. Whoever these files take over finds nothing but them, and a virtual machine without memory.
            let stateFile = try files.openState()
            let memoryFile = try files.openMemory()
            let shell = try MachineShell()
            do throws(LinuxError) { _ = try Enclosure(socketPaths: [], sharedFolders: []).enter() } catch {
                throw MachineError.system(doing: "give up what is not needed", error)
            }
            let state = try files.readState(stateFile)
            _ = try files.memory(of: state, in: memoryFile)
            try shell.judge(state)
            writeToStandardOutput(
                "{\"vcpu_count\":\(state.processors.count),\"mem_size_mib\":\(state.memoryMebibytes),"
                    + "\"plugged_size_mib\":\((state.pluggedBytes ?? 0) >> 20),"
                    + "\"devices\":\(state.devices.count { $0.kind != 0 }),\"console\":\(state.serialPort != nil)}\n")
            return 0
        } catch {
            writeToStandardError("swiftlet-vmm: \(error)\n")
            return ExitStatus.notBuilt
        }
    }

    private struct FileTrouble: Error {
        let path: String
        let reason: SnapshotError
    }

    private static func merge(_ base: String, _ changes: [String], _ result: String) throws(FileTrouble) {
        let source = try open(base, [.readOnly, .nonBlocking])
        // A file that has the name stays as it is.
        let file = try open(result, [.readWrite, .create, .exclusive, .noFollow])
        do throws(FileTrouble) {
            do throws(SnapshotError) { try MemoryMerge.copy(source.number, to: file.number) } catch {
                throw FileTrouble(path: base, reason: error)
            }
            for path in changes { try lay(path, over: file.number, keeping: base) }
        } catch {
            try? removeFile(result)
            throw error
        }
    }

    private static func writeTree(of memory: String, _ result: String) throws(FileTrouble) {
        let source = try open(memory, [.readOnly, .nonBlocking])
        let file = try open(result, [.readWrite, .create, .exclusive, .noFollow])
        do throws(SnapshotError) {
            let root = try MemoryTree.write(of: source.number, to: file.number)
            var text = ""
            for byte in root.bytes { text += (byte < 16 ? "0" : "") + String(byte, radix: 16) }
            writeToStandardOutput(text + "\n")
        } catch {
            try? removeFile(result)
            throw FileTrouble(path: memory, reason: error)
        }
    }

    private static func lay(_ path: String, over file: Int32, keeping base: String) throws(FileTrouble) {
        do throws(SnapshotError) { _ = try MemoryImage.readTrailer(file) } catch {
            throw FileTrouble(path: base, reason: error)
        }
        let changes = try open(path, [.readOnly, .nonBlocking])
        do throws(SnapshotError) { try MemoryMerge.lay(DifferentialImage(changes), over: file) } catch {
            throw FileTrouble(path: path, reason: error)
        }
    }

    private static func open(_ path: String, _ flags: OpenFlags) throws(FileTrouble) -> FileDescriptor {
        do throws(LinuxError) { return try LinuxCalls.open(path, flags, mode: 0o600) } catch {
            throw FileTrouble(path: path, reason: .file(error))
        }
    }
}
