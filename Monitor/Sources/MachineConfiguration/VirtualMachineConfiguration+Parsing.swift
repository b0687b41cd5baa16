public import WireFormats

extension VirtualMachineConfiguration {
    /// Reads a configuration file's content.
    public static func parse(_ bytes: [UInt8]) throws(ConfigurationError) -> VirtualMachineConfiguration {
        let document: JSONValue
        do throws(JSONError) { document = try JSONParser.parse(bytes) } catch { throw .syntax(error) }
        return try parse(document: document)
    }

    /// The same for a document already read.
    public static func parse(document: JSONValue) throws(ConfigurationError) -> VirtualMachineConfiguration {
        let reader = try ObjectReader(
            document, path: "",
            known: [
                "boot-source", "machine-config", "drives", "network-interfaces", "shared-folders", "vsock", "balloon",
                "pmem", "memory-hotplug", "entropy", "console", "lifeline", "control", "restore", "hot-plug",
            ])
        guard let boot = reader.value("boot-source") else {
            throw .missing(field: "boot-source", wanted: "an object with kernel_image_path")
        }
        guard let machine = reader.value("machine-config") else {
            throw .missing(field: "machine-config", wanted: "an object with vcpu_count and mem_size_mib")
        }
        let (processors, memory) = try parseMachine(machine)
        var configuration = VirtualMachineConfiguration(
            bootSource: try BootSource(boot), virtualCPUCount: processors, memoryMebibytes: memory)
        configuration.hasHugePages = machine["huge_pages"] == .string("2M")
        configuration.isTrackingChanges = machine["track_dirty_pages"] == .boolean(true)
        for (index, drive) in try reader.list("drives").enumerated() {
            configuration.drives.append(try Drive(drive, path: "drives[\(index)]"))
        }
        for (index, interface) in try reader.list("network-interfaces").enumerated() {
            configuration.networkInterfaces.append(
                try NetworkInterface(interface, path: "network-interfaces[\(index)]"))
        }
        for (index, folder) in try reader.list("shared-folders").enumerated() {
            configuration.sharedFolders.append(try SharedFolder(folder, path: "shared-folders[\(index)]"))
        }
        if let vsock = reader.value("vsock") { configuration.vsock = try Vsock(vsock) }
        if let balloon = reader.value("balloon") {
            configuration.balloon = try Balloon(balloon, memoryMebibytes: memory)
        }
        for (index, file) in try reader.list("pmem").enumerated() {
            configuration.persistentMemories.append(try PersistentMemory(file, path: "pmem[\(index)]"))
        }
        if let pluggable = reader.value("memory-hotplug") {
            configuration.pluggableMemory = try PluggableMemory(pluggable)
        }
        if let entropy = reader.value("entropy") {
            let entropy = try ObjectReader(entropy, path: "entropy", known: ["rate_limiter"])
            configuration.entropyLimits = try entropy.limits("rate_limiter")
            configuration.hasEntropyDevice = true
        }
        if let console = reader.value("console") { configuration.console = try Console(console) }
        if let lifeline = reader.value("lifeline") {
            let lifeline = try ObjectReader(lifeline, path: "lifeline", known: ["descriptor"])
            configuration.lifelineDescriptor = Int32(try lifeline.requiredInteger("descriptor", descriptorRange))
        }
        if let control = reader.value("control") { configuration.control = try Control(control) }
        if let restore = reader.value("restore") { configuration.restore = try Restore(restore) }
        if let places = reader.value("hot-plug") { try configuration.parseSlots(places) }
        try configuration.checkWhole()
        return configuration
    }

    private static func parseMachine(_ value: JSONValue) throws(ConfigurationError) -> (UInt32, UInt64) {
        let reader = try ObjectReader(
            value, path: "machine-config",
            known: ["vcpu_count", "mem_size_mib", "smt", "track_dirty_pages", "huge_pages", "cpu_template"])
        // Asked for or not, processors are given as cores of one thread.
        _ = try reader.boolean("smt")
        _ = try reader.boolean("track_dirty_pages")
        let pages = try reader.text("huge_pages") ?? "None"
        guard pages == "None" || pages == "2M" else { throw reader.invalid("huge_pages", wanted: "None or 2M") }
        if pages == "2M", let memory = try reader.integer("mem_size_mib", memoryMebibytesRange), memory % 2 != 0 {
            throw reader.invalid("mem_size_mib", wanted: "a multiple of 2, the size of huge pages")
        }
        try reader.only("cpu_template", .string("None"), reason: "the guest sees the host's processor")
        return (
            UInt32(try reader.requiredInteger("vcpu_count", virtualCPURange)),
            UInt64(try reader.requiredInteger("mem_size_mib", memoryMebibytesRange))
        )
    }

    /// What no field can know alone.
    private func checkWhole() throws(ConfigurationError) {
        var names: [String] = []
        for (index, drive) in drives.enumerated() {
            if names.contains(drive.id) {
                throw .invalid(
                    field: "drives[\(index)].drive_id", found: "\"\(drive.id)\" a second time",
                    wanted: "a name of its own for each drive")
            }
            names.append(drive.id)
        }
        names = []
        for (index, interface) in networkInterfaces.enumerated() {
            if names.contains(interface.id) {
                throw .invalid(
                    field: "network-interfaces[\(index)].iface_id", found: "\"\(interface.id)\" a second time",
                    wanted: "a name of its own for each interface")
            }
            names.append(interface.id)
        }
        names = []
        for (index, folder) in sharedFolders.enumerated() {
            if names.contains(folder.tag) {
                throw .invalid(
                    field: "shared-folders[\(index)].tag", found: "\"\(folder.tag)\" a second time",
                    wanted: "a tag of its own for each folder")
            }
            names.append(folder.tag)
        }
        names = []
        for (index, file) in persistentMemories.enumerated() {
            if names.contains(file.id) {
                throw .invalid(
                    field: "pmem[\(index)].id", found: "\"\(file.id)\" a second time",
                    wanted: "a name of its own for each file")
            }
            names.append(file.id)
        }
        if drives.contains(where: { $0.socket != nil }), pluggableMemory != nil || !persistentMemories.isEmpty {
            throw .invalid(
                field: "drives", found: "one with a socket, beside pmem or memory-hotplug",
                wanted: "one or the other: that memory cannot be shared with a drive's backend")
        }
        var roots = 0
        for drive in drives where drive.isRootDevice { roots += 1 }
        if roots > 1 {
            throw .invalid(field: "drives", found: "\(roots) root devices", wanted: "at most one is_root_device")
        }
        if deviceCount > Self.maximumDevices {
            throw .invalid(
                field: "the configuration", found: "\(deviceCount) devices",
                wanted: "at most \(Self.maximumDevices) drives, interfaces, folders, slots and other devices together")
        }
    }

    private var deviceCount: Int { fixedDeviceCount + slotCount }

    /// Without those in slots.
    public var fixedDeviceCount: Int {
        drives.count + networkInterfaces.count + sharedFolders.count + (vsock == nil ? 0 : 1) + (balloon == nil ? 0 : 1)
            + (hasEntropyDevice ? 1 : 0) + (pluggableMemory == nil ? 0 : 1)
            + persistentMemories.count
    }
}

let descriptorRange: ClosedRange<Int64> = 0...1_048_575
