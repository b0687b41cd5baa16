/// The configuration file of `swiftlet-vmm` for one machine: Firecracker's shape, and ours.
struct MonitorConfiguration {
    /// Where the root disk is in the guest: the first drive.
    static let rootDevice = "/dev/vda"

    /// Where a further disk is in the guest.
    static func device(_ index: Int) -> String { "/dev/vd" + String(UnicodeScalar(UInt8(ascii: "b") + UInt8(index))) }

    /// The name by which the guest mounts a shared folder.
    static func folderTag(_ index: Int) -> String { "folder\(index)" }

    let specification: MachineSpecification
    var interfaces: [AssignedInterface] = []
    let initrdPaths: [String]
    let socketPath: String
    /// The guest's vsock number.
    var contextIdentifier: UInt32 = 3
    /// Where the monitor makes the files of snapshots; nil: nobody controls the machine while it runs.
    var controlFolder: String?
    /// What the machine goes on from in the place of a boot, and the folder that it lies in.
    var restored: (folder: String, point: RestorePoint)?
    /// What the machine goes on with that had been attached.
    var attached: [DeviceAttachment] = []

    /// Where a running machine's monitor takes orders: beside its `uds_path`.
    static func controlSocket(_ socketPath: String) -> String { socketPath + "_control" }

    /// Words for the kernel's command line. Few lines on the console, for each byte of it is an exit of the machine.
    var bootArguments: String {
        var words = ["reboot=k", "panic=-1"]
        if specification.isWithoutConsole {
            // Nor does the kernel look for a port.
            words += ["8250.nr_uarts=0", "quiet"]
        } else {
            words += ["console=ttyS0", specification.showsConsole ? "loglevel=7" : "quiet"]
        }
        if specification.memoryMaximumMebibytes != nil { words += MachineSpecification.growingArguments }
        if !specification.kernelArguments.isEmpty { words.append(specification.kernelArguments) }
        return words.joined(separator: " ")
    }

    var json: String {
        var drives = [rootDrive]
        for (index, disk) in specification.allDisks.enumerated() {
            drives.append(drive("disk\(index)", disk.path, isReadOnly: disk.isReadOnly, MachineLimits.disk(index)))
        }
        // Who goes on from a snapshot boots no kernel, and one that came from elsewhere has none here.
        let kernel = specification.kernelPath.isEmpty ? "none" : specification.kernelPath
        var sections = [
            "\"boot-source\":{\"kernel_image_path\":\(quoted(kernel)),\"boot_args\":\(quoted(bootArguments)),"
                + "\"initrd_paths\":[\(initrdPaths.map(quoted).joined(separator: ","))]}",
            "\"machine-config\":{\"vcpu_count\":\(specification.processors),\"mem_size_mib\":\(specification.memoryMebibytes)}",
            "\"drives\":[\(drives.joined(separator: ","))]",
            "\"vsock\":{\"guest_cid\":\(contextIdentifier),\"uds_path\":\(quoted(socketPath))}",
            "\"entropy\":{}",
            "\"balloon\":{\"amount_mib\":\(specification.balloonMebibytes(specification.limits)),"
                // A guest that took memory back would have no limit.
                + "\"deflate_on_oom\":false,\"free_page_reporting\":true}",
            specification.isWithoutConsole
                ? "\"console\":{\"enabled\":false}" : "\"console\":{\"input_descriptor\":-1}",
            "\"lifeline\":{\"descriptor\":0}",
        ]
        if let mebibytes = specification.pluggableMebibytes {
            sections.append("\"memory-hotplug\":{\"total_size_mib\":\(mebibytes)}")
        }
        if let controlFolder {
            sections.append(
                "\"control\":{\"socket_path\":\(quoted(Self.controlSocket(socketPath))),\"folder\":\(quoted(controlFolder))}"
            )
        }
        if controlFolder != nil { sections.append("\"hot-plug\":\(hotPlug)") }
        if let (folder, point) = restored {
            let tree = point.tree.map { ",\"tree\":\(quoted($0.name)),\"root\":\(quoted($0.root))" } ?? ""
            sections.append(
                "\"restore\":{\"folder\":\(quoted(folder)),\"state\":\(quoted(point.state)),\"memory\":\(quoted(point.memory))\(tree),\"resume\":true}"
            )
        }
        let folders = specification.container.folders
        if !folders.isEmpty {
            let list = folders.enumerated().map { folder($0, $1) }.joined(separator: ",")
            sections.append("\"shared-folders\":[\(list)]")
        }
        let networks = interfaces.compactMap(network)
        if !networks.isEmpty { sections.append("\"network-interfaces\":[\(networks.joined(separator: ","))]") }
        return "{\(sections.joined(separator: ","))}\n"
    }

    /// Places for devices that are attached later: each takes an interrupt line, of which there are so many.
    private var slots: Int {
        let lines = 18
        let standing =
            (specification.memoryMaximumMebibytes == nil ? 4 : 5) + specification.allDisks.count
            + specification.container.folders.count + interfaces.count
        return max(0, min(Self.mostSlots, lines - standing))
    }

    static let mostSlots = 4

    private var hotPlug: String {
        var drives: [String] = []
        var networks: [String] = []
        for attachment in attached {
            guard let slot = attachment.slot,
                let fields = attachment.monitorFields(
                    specification.limits, limitedAs: attachment.guestName ?? attachment.id, isOpenedByName: true)
            else { continue }
            let element = "{\"slot\":\(slot),\(fields)}"
            if attachment.disk == nil { networks.append(element) } else { drives.append(element) }
        }
        let places = max(slots, attached.compactMap(\.slot).reduce(0) { max($0, $1 + 1) })
        return "{\"slots\":\(places),\"drives\":[\(drives.joined(separator: ","))],"
            + "\"network-interfaces\":[\(networks.joined(separator: ","))]}"
    }

    private func network(_ interface: AssignedInterface) -> String? {
        guard let device = interface.hostDevice else { return nil }
        var fields = ["\"iface_id\":\"\(interface.place)\"", "\"host_dev_name\":\(quoted(device))"]
        if let address = interface.hostAddress { fields.append("\"host_address\":\"\(address)\"") }
        fields.append("\"guest_mac\":\"\(interface.hardwareAddress)\"")
        // A guest that was told before it was copied is not to be told nothing.
        if let unit = interface.interface.maximumTransmissionUnit ?? (restored == nil ? nil : 1500) {
            fields.append("\"mtu\":\(unit)")
        }
        let limits = specification.limits
        if let limiter = limits.receiveLimiter(interface.place) { fields.append("\"rx_rate_limiter\":\(limiter)") }
        if let limiter = limits.transmitLimiter(interface.place) { fields.append("\"tx_rate_limiter\":\(limiter)") }
        return "{\(fields.joined(separator: ","))}"
    }

    private var rootDrive: String {
        let list = specification.imageDiskPaths.map(quoted).joined(separator: ",")
        return "{\"drive_id\":\"root\",\"segments\":[\(list)],\"is_read_only\":true\(limiter(MachineLimits.disk(nil)))}"
    }

    private func folder(_ index: Int, _ folder: SharedFolder) -> String {
        let owner = SharedFolder.owner.map { ",\"owner_uid\":\($0.user),\"owner_gid\":\($0.group)" } ?? ""
        return "{\"tag\":\"\(Self.folderTag(index))\",\"path_on_host\":\(quoted(folder.path)),"
            + "\"is_read_only\":\(folder.isReadOnly)\(owner)}"
    }

    private func limiter(_ device: String) -> String {
        specification.limits.diskLimiter(device).map { ",\"rate_limiter\":\($0)" } ?? ""
    }

    private func drive(_ id: String, _ path: String, isReadOnly: Bool, _ device: String) -> String {
        "{\"drive_id\":\"\(id)\",\"path_on_host\":\(quoted(path)),\"is_root_device\":false,\"is_read_only\":\(isReadOnly),"
            + "\"cache_type\":\"\(isReadOnly ? "Unsafe" : "Writeback")\"\(limiter(device))}"
    }

    /// A text as JSON has it. Source: RFC 8259 §7.
    private func quoted(_ text: String) -> String { Self.quoted(text) }

    static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": result += "\\\(scalar)"
            case "\u{0}"..<"\u{20}":
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
