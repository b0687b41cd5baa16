import MachineConfiguration
import WireFormats

/// Memory that is plugged while the machine runs, and files that are memory.
extension APIService {
    func setPersistentMemory(_ identifier: String, _ body: JSONValue) throws(Fault) {
        let file = Self.withEffectiveLimits(body.completed(Shapes.persistentMemory), "rate_limiter")
        if file.boolean("root_device") == true {
            let others = kept.persistentMemories.contains {
                $0.boolean("root_device") == true && $0.text("id") != identifier
            }
            if others || kept.drives.contains(where: { $0.boolean("is_root_device") == true }) {
                throw Fault("Pmem config error: A root device already exists!")
            }
        }
        do throws(HostRefusal) {
            try control.checkDisk(file.text("path_on_host") ?? "", isWritable: file.boolean("read_only") != true)
        } catch {
            throw Fault("Pmem config error: Unable to create the virtio-pmem device: \(error)")
        }
        try checkDeviceCount(adds: !kept.persistentMemories.contains { $0.text("id") == identifier })
        Self.place(file, in: &kept.persistentMemories, at: "id", first: false)
    }

    func updatePersistentMemory(_ identifier: String, _ body: JSONValue) throws(Fault) {
        guard let index = kept.persistentMemories.firstIndex(where: { $0.text("id") == identifier }) else {
            throw Fault("Pmem config error: Failed to find the device on the bus.")
        }
        guard let limiter = body["rate_limiter"] else { return }
        do throws(HostRefusal) {
            try control.setLimits(ofPersistentMemory: identifier, Self.limits(limiter))
        } catch { throw Fault("Pmem config error: \(error)") }
        kept.persistentMemories[index] = kept.persistentMemories[index].replacing(
            "rate_limiter", with: Self.merged(kept.persistentMemories[index]["rate_limiter"], limiter))
    }

    private static let noMemory = Fault("Memory hotplug error: no memory was configured by PUT /hotplug/memory.")

    func setMemory(_ body: JSONValue) throws(Fault) {
        let memory = body.completed(Shapes.memory)
        do throws(ConfigurationError) { _ = try VirtualMachineConfiguration.PluggableMemory(memory) } catch {
            throw Fault("Memory hotplug config error: \(error)")
        }
        try checkDeviceCount(adds: kept.memory == nil)
        kept.memory = memory
    }

    func updateMemory(_ body: JSONValue) throws(Fault) {
        guard kept.memory != nil else { throw Self.noMemory }
        let mebibytes = UInt64(body.integer("requested_size_mib") ?? 0)
        do throws(HostRefusal) { try control.requestMemory(mebibytes: mebibytes) } catch {
            throw Fault("Memory hotplug error: \(error)")
        }
    }

    func describeMemory() throws(Fault) -> JSONValue {
        guard let memory = kept.memory else { throw Self.noMemory }
        let now = control.memory
        return .object(
            (memory.members ?? []) + [
                JSONMember("plugged_size_mib", .integer(Int64(clamping: now?.plugged ?? 0))),
                JSONMember("requested_size_mib", .integer(Int64(clamping: now?.requested ?? 0))),
            ])
    }
}
