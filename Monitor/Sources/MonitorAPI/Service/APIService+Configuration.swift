import LinuxCalls
import MachineConfiguration
import MetadataService
import WireFormats

/// Requests before the start: each is checked as far as it can be by itself, and kept.
extension APIService {
    func setBootSource(_ body: JSONValue) throws(Fault) {
        do throws(HostRefusal) {
            try control.checkFile(body.text("kernel_image_path") ?? "", isWritable: false)
        } catch {
            throw Fault("Boot source error: The kernel file cannot be opened: \(error)")
        }
        if let path = body.text("initrd_path") {
            do throws(HostRefusal) {
                try control.checkFile(path, isWritable: false)
            } catch {
                throw Fault(
                    "Boot source error: The initrd file cannot be opened due to invalid path or invalid permissions. \(error)"
                )
            }
        }
        kept.bootSource = body
    }

    func setMachine(_ machine: JSONValue) throws(Fault) {
        let count = machine.integer("vcpu_count") ?? 1
        let hasThreads = machine.boolean("smt") ?? false
        guard count > 0, count <= 32, !hasThreads || count == 1 || count % 2 == 0 else {
            throw Fault(
                "Machine config error: The number of vCPUs must be greater than 0, less than 32 and must be 1 or an even number if SMT is enabled."
            )
        }
        let mebibytes = machine.integer("mem_size_mib") ?? 0
        let isHuge = machine.text("huge_pages") == "2M"
        guard mebibytes > 0, !isHuge || mebibytes % 2 == 0 else {
            throw Fault(
                "Machine config error: The memory size (MiB) is either 0, or not a multiple of the configured page size."
            )
        }
        let range = VirtualMachineConfiguration.memoryMebibytesRange
        guard range.contains(mebibytes) else {
            throw Fault(
                "Machine config error: this monitor gives a guest \(range.lowerBound) to \(range.upperBound) MiB of memory."
            )
        }
        if let balloon = kept.balloon?.integer("amount_mib"), balloon > mebibytes {
            throw Fault(
                "Machine config error: The memory size (MiB) is smaller than the previously set balloon device target size."
            )
        }
        // "None" is as good as no template, and not shown.
        kept.machine = .object(
            (machine.members ?? []).filter { $0.name != "cpu_template" || $0.value != .string("None") })
        if machine["cpu_template"] != nil { kept.processors = nil }
    }

    func updateMachine(_ body: JSONValue) throws(Fault) {
        guard body.members?.isEmpty == false else { throw Fault("Empty PATCH request.") }
        try setMachine(kept.machine.overlaid(by: body).completed(Shapes.machine))
    }

    func setDrive(_ identifier: String, _ body: JSONValue) throws(Fault) {
        let socket = body.text("socket")
        let isBackends = ["path_on_host", "is_read_only", "rate_limiter", "io_engine"].contains { body[$0] != nil }
        guard socket == nil ? body["path_on_host"] != nil : !isBackends else {
            throw Fault("Drive config error: Unable to create the virtio block device: Invalid block config.")
        }
        let drive =
            socket == nil
            ? Self.withEffectiveLimits(body.completed(Shapes.drive), "rate_limiter")
            : body.completed(Shapes.backedDrive)
        let isRoot = drive.boolean("is_root_device") ?? false
        if isRoot {
            for other in kept.drives where other.boolean("is_root_device") == true {
                if other.text("drive_id") != identifier {
                    throw Fault("Drive config error: A root block device already exists!")
                }
            }
            if kept.persistentMemories.contains(where: { $0.boolean("root_device") == true }) {
                throw Fault("Drive config error: A root pmem device already exists!")
            }
        }
        try checkDeviceCount(adds: !kept.drives.contains { $0.text("drive_id") == identifier })
        let path = body.text("path_on_host") ?? ""
        do throws(HostRefusal) {
            if let socket {
                let isReadOnly = try control.connectDrive(identifier, socket: socket)
                kept.readOnlyBackends.removeAll { $0 == identifier }
                if isReadOnly { kept.readOnlyBackends.append(identifier) }
            } else {
                try control.checkDisk(path, isWritable: drive.boolean("is_read_only") != true)
            }
        } catch {
            let words =
                socket == nil
                ? "Virtio backend error: Error manipulating the backing file: \(error) \(path)"
                : "Vhost user backend error: \(error)"
            throw Fault("Drive config error: Unable to create the virtio block device: \(words)")
        }
        Self.place(drive, in: &kept.drives, at: "drive_id", first: isRoot)
    }

    func setInterface(_ identifier: String, _ body: JSONValue) throws(Fault) {
        let name = body.text("host_dev_name") ?? ""
        if name.utf8.count > 15 {
            throw Fault(
                "Network config error: Could not create the network device: Open tap device failed: Invalid interface name"
            )
        }
        var interface = Self.withEffectiveLimits(
            Self.withEffectiveLimits(body.completed(Shapes.interface), "rx_rate_limiter"), "tx_rate_limiter")
        if let address = interface.text("guest_mac") {
            let lower = String(decoding: address.utf8.map { $0 >= 0x41 && $0 <= 0x46 ? $0 | 0x20 : $0 }, as: UTF8.self)
            interface = interface.replacing("guest_mac", with: .string(lower))
            for other in kept.interfaces where other.text("iface_id") != identifier {
                if other.text("guest_mac") == lower {
                    throw Fault("Network config error: The MAC address is already in use: \(lower)")
                }
            }
        }
        for other in kept.interfaces where other.text("iface_id") != identifier {
            if other.text("host_dev_name") == name {
                throw Fault(
                    "Network config error: Could not create the network device: Open tap device failed: Error while creating ifreq structure: Resource busy (os error 16). Invalid TUN/TAP Backend provided by \(name). Check our documentation on setting up the network devices."
                )
            }
        }
        try checkDeviceCount(adds: !kept.interfaces.contains { $0.text("iface_id") == identifier })
        Self.place(interface, in: &kept.interfaces, at: "iface_id", first: false)
    }

    /// Buckets that limit nothing are as good as none.
    static func withEffectiveLimits(_ value: JSONValue, _ name: String) -> JSONValue {
        value.replacing(name, with: merged(nil, value[name] ?? .null))
    }

    /// Replaces what has the same name, else appends, or puts in front.
    static func place(_ value: JSONValue, in list: inout [JSONValue], at name: String, first: Bool) {
        if let index = list.firstIndex(where: { $0[name] == value[name] }) {
            list.remove(at: index)
            list.insert(value, at: first ? 0 : index)
        } else {
            list.insert(value, at: first ? 0 : list.count)
        }
    }

    func checkDeviceCount(adds: Bool) throws(Fault) {
        let others =
            (kept.vsock == nil ? 0 : 1) + (kept.balloon == nil ? 0 : 1) + (kept.entropy == nil ? 0 : 1)
            + (kept.memory == nil ? 0 : 1) + kept.persistentMemories.count
        let count = kept.drives.count + kept.interfaces.count + others + (adds ? 1 : 0)
        let maximum = VirtualMachineConfiguration.maximumDevices
        if count > maximum { throw Fault("this monitor gives a guest at most \(maximum) devices.") }
    }

    func setVsock(_ body: JSONValue) throws(Fault) {
        let number = body.integer("guest_cid") ?? 0
        guard number >= 3, number < 0xffff_ffff else {
            throw Fault("Vsock config error: guest_cid is \(number), and a guest's is 3 to 4294967294.")
        }
        guard let path = body.text("uds_path"), !path.isEmpty, path.utf8.count <= 96 else {
            throw Fault("Vsock config error: uds_path must be a path of at most 96 bytes.")
        }
        do throws(HostRefusal) { try control.openVsock(path) } catch {
            kept.vsock = nil
            throw Fault(
                "Vsock config error: Cannot create backend for vsock device: Error binding to the host-side Unix socket: \(error)"
            )
        }
        kept.vsock = .object((body.members ?? []).filter { $0.name != "vsock_id" }).completed(Shapes.vsock)
    }

    func setBalloon(_ body: JSONValue) throws(Fault) {
        guard (body.integer("amount_mib") ?? 0) <= (kept.machine.integer("mem_size_mib") ?? 0) else {
            throw Fault("Balloon config error: Amount of pages requested is too large.")
        }
        kept.balloon = body.completed(Shapes.balloon)
    }

    /// The last one counts, and one that changes nothing is as good as none.
    func setProcessors(_ body: JSONValue) throws(Fault) {
        let template = ProcessorTemplate(body)
        let most = ProcessorTemplate.maximumEntries
        guard template.leaves.count <= most, template.modelRegisters.count <= most else {
            throw Fault("CPU configuration error: at most \(most) entries of each kind are taken.")
        }
        kept.processors = template.isEmpty ? nil : template
        kept.machine = .object((kept.machine.members ?? []).filter { $0.name != "cpu_template" })
    }

    func setLogger(_ body: JSONValue) throws(Fault) {
        var output: Int32?
        if let path = body.text("log_path") {
            do throws(HostRefusal) { output = try control.openOutput(path) } catch {
                throw Fault("Logger error: Failed to open target file: \(error)")
            }
        }
        log.set(
            output: output, level: body.text("level").flatMap { LogLevel(name: $0) },
            showsLevel: body.boolean("show_level"), showsOrigin: body.boolean("show_log_origin"))
    }

    func setMetrics(_ body: JSONValue) throws(Fault) {
        let prefix = "Metrics error: Cannot initialize the metrics system due to bad user input: "
        if metrics.isOpen { throw Fault(prefix + "Reinitialization of metrics not allowed.") }
        do throws(HostRefusal) {
            metrics.open(try control.openOutput(body.text("metrics_path") ?? ""))
        } catch {
            throw Fault(prefix + "\(error)")
        }
    }

    func configureMetadata(_ body: JSONValue) throws(Fault) {
        let names = body["network_interfaces"]?.elements ?? []
        if names.isEmpty {
            throw Fault(
                "MMMDS config error: The list of network interface IDs that allow forwarding MMDS requests is empty.")
        }
        for name in names where !kept.interfaces.contains(where: { $0["iface_id"] == name }) {
            throw Fault(
                "MMMDS config error: The list of network interface IDs provided contains at least one ID that does not correspond to any existing network interface."
            )
        }
        let configuration = body.completed(Shapes.metadata)
        let address = configuration["ipv4_address"]?.text.flatMap { IPv4Text.parse($0) } ?? 0
        // 169.254.1.0 to 169.254.254.255. Source: RFC 3927 §2.1.
        guard address >= 0xa9fe_0100, address < 0xa9fe_ff00 else {
            throw Fault("MMMDS config error: The MMDS IPv4 address is not link local.")
        }
        kept.metadata = configuration
        applyMetadata(of: kept)
    }

    /// Hands on how the guest is to be told.
    func applyMetadata(of kept: KeptConfiguration) {
        guard let configuration = kept.metadata else { return }
        metadata.configure(
            address: configuration.text("ipv4_address").flatMap { IPv4Text.parse($0) } ?? 0,
            interfaces: (configuration["network_interfaces"]?.elements ?? []).compactMap { $0.text },
            isTokenRequired: configuration.text("version") == "V2",
            isPlain: configuration.boolean("imds_compat") ?? false)
    }
}

extension LinuxError {
    /// As the original words it: with a capital, and the number.
    public var originalWords: String {
        let text = description
        guard let first = text.utf8.first, first >= 0x61, first <= 0x7a else { return "\(text) (os error \(number))" }
        return String(decoding: [first & 0xdf], as: UTF8.self)
            + "\(String(decoding: text.utf8.dropFirst(), as: UTF8.self)) (os error \(number))"
    }
}
