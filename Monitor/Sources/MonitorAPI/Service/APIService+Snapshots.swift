import MachineConfiguration
import WireFormats

/// Snapshots: one made of the machine that stands still, and a machine made of one.
extension APIService {
    func createSnapshot(_ body: JSONValue) throws(Fault) {
        guard state == .paused else {
            throw Fault(
                "Create snapshot error: Cannot save the microVM state: Operation not allowed: save/restore unavailable while running"
            )
        }
        var configuration: [UInt8] = []
        kept.document.write(to: &configuration)
        do throws(HostRefusal) {
            try control.writeSnapshot(
                statePath: body.text("snapshot_path") ?? "", memoryPath: body.text("mem_file_path") ?? "",
                isDifferential: body.text("snapshot_type") == "Diff", configuration: configuration)
        } catch { throw Fault("Create snapshot error: \(error)") }
    }

    /// A snapshot of a machine that runs, which stands still for some milliseconds at most. Ours; answers for how long.
    func createLiveSnapshot(_ body: JSONValue) throws(Fault) -> HTTPResponse {
        guard state == .running else {
            throw Fault("Create snapshot error: the microVM stands still; use /snapshot/create.")
        }
        var configuration: [UInt8] = []
        kept.document.write(to: &configuration)
        do throws(HostRefusal) {
            let nanoseconds = try control.writeLiveSnapshot(
                statePath: body.text("snapshot_path") ?? "", memoryPath: body.text("mem_file_path") ?? "",
                isDifferential: body.text("snapshot_type") == "Diff", configuration: configuration)
            return .json(.object([JSONMember("pause_us", .integer(Int64(clamping: nanoseconds / 1000)))]))
        } catch { throw Fault("Create snapshot error: \(error)") }
    }

    /// Ours: what the machine has touched is there at once in the next one of the same snapshot.
    func saveWorkingSet(_ body: JSONValue) throws(Fault) {
        do throws(HostRefusal) { try control.writeWorkingSet(memoryPath: body.text("mem_file_path") ?? "") } catch {
            throw Fault("Working set error: \(error)")
        }
    }

    func loadSnapshot(_ body: JSONValue) throws(Fault) {
        let (memoryPath, isServed) = try Self.memorySource(body)
        var tree: VirtualMachineConfiguration.MemoryTreeReference?
        if let path = body.text("mem_tree_path") {
            if isServed { throw Fault("Load snapshot error: Pages that a handler serves cannot be checked here.") }
            tree = .init(path: path, root: body.text("mem_root") ?? "")
            if tree == nil { throw Fault("Load snapshot error: mem_root must be 64 digits of base 16.") }
        }
        guard kept.isUntouched else {
            throw Fault(
                "Load snapshot error: Loading a microVM snapshot not allowed after configuring boot-specific resources."
            )
        }
        // Whether `track_dirty_pages` or `enable_diff_snapshots` is given or not: what changes is known in any case.
        let isPaused = body.boolean("resume_vm") != true
        do throws(HostRefusal) {
            try checkState(body.text("snapshot_path") ?? "")
            let bytes = try control.openSnapshot(
                statePath: body.text("snapshot_path") ?? "", memoryPath: memoryPath, isServed: isServed,
                tree: tree)
            var configuration = try Self.configuration(bytes, body["network_overrides"]?.elements ?? [])
            let pages = body["huge_pages"]
            if let pages { configuration.machine = configuration.machine.replacing("huge_pages", with: pages) }
            let machine = try Self.machine(configuration)
            if configuration.hasHugePages, !isServed, pages == nil {
                throw HostRefusal(
                    "Failed to restore from snapshot: Failed to load guest memory: Error creating guest memory from file: Cannot restore hugetlbfs backed snapshot by mapping the memory file. Please use uffd."
                )
            }
            try checkDisks(configuration)
            applyMetadata(of: configuration)
            try control.restore(machine, isPaused: isPaused)
            kept = configuration
            state = isPaused ? .paused : .running
        } catch { throw Fault("Load snapshot error: \(error)") }
    }

    /// Clients look for the original's words when a file is not there, and for its path at their end.
    private func checkState(_ path: String) throws(HostRefusal) {
        do throws(HostRefusal) { try control.checkFile(path, isWritable: false) } catch {
            throw HostRefusal(
                "Failed to restore from snapshot: Failed to get snapshot state from file: Failed to open snapshot file: \(error)"
            )
        }
    }

    private func checkDisks(_ configuration: KeptConfiguration) throws(HostRefusal) {
        for drive in configuration.drives {
            if drive["socket"] != nil { throw HostRefusal("a vhost-user drive cannot go on from a snapshot") }
            let path = drive.text("path_on_host") ?? ""
            do throws(HostRefusal) {
                try control.checkDisk(path, isWritable: drive.boolean("is_read_only") != true)
            } catch {
                throw HostRefusal(
                    "Failed to restore from snapshot: Failed to build microVM from snapshot: Failed to restore MMIO device: Cannot restore devices: Block: Virtio backend error: Error manipulating the backing file: \(error) \(path)"
                )
            }
        }
    }

    private static func memorySource(_ body: JSONValue) throws(Fault) -> (path: String, isServed: Bool) {
        let path = body.text("mem_file_path")
        let backend = body["mem_backend"]
        if (path == nil) == (backend == nil) {
            throw Fault(
                backend == nil
                    ? "An error occurred when deserializing the json body of a request: missing field: either `mem_backend` or `mem_file_path` is required."
                    : "An error occurred when deserializing the json body of a request: too many fields: either `mem_backend` or `mem_file_path` exclusively is required."
            )
        }
        if let path { return (path, false) }
        return (backend?.text("backend_path") ?? "", backend?.text("backend_type") == "Uffd")
    }

    private static func machine(
        _ configuration: KeptConfiguration
    ) throws(HostRefusal) -> VirtualMachineConfiguration {
        do throws(ConfigurationError) { return try configuration.machineConfiguration() } catch {
            throw HostRefusal("the configuration in the state file: \(error)")
        }
    }

    /// What was kept with a snapshot, with other host interfaces behind its own. Trust: the bytes come from a file.
    private static func configuration(
        _ bytes: [UInt8], _ overrides: [JSONValue]
    ) throws(HostRefusal) -> KeptConfiguration {
        let document: JSONValue
        do throws(JSONShapeError) { document = try JSONParser.parseFree(bytes) } catch {
            throw HostRefusal("the configuration in the state file: \(error)")
        }
        guard document["machine-config"] != nil else {
            throw HostRefusal("the state file holds no configuration")
        }
        var kept = KeptConfiguration(ofFile: document)
        for other in overrides {
            let name = other.text("iface_id") ?? ""
            guard let index = kept.interfaces.firstIndex(where: { $0.text("iface_id") == name }) else {
                throw HostRefusal("network_overrides: the snapshot has no network interface \"\(name)\"")
            }
            kept.interfaces[index] = kept.interfaces[index].replacing(
                "host_dev_name", with: .string(other.text("host_dev_name") ?? ""))
        }
        return kept
    }
}
