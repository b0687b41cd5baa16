/// The configuration file of `swiftlet-vmm` for one machine: Firecracker's shape, and ours.
struct MonitorConfiguration {
    static let guestCID = 3
    /// Where the root disk is in the guest: the first drive.
    static let rootDevice = "/dev/vda"

    /// Where a further disk is in the guest.
    static func device(_ index: Int) -> String { "/dev/vd" + String(UnicodeScalar(UInt8(ascii: "b") + UInt8(index))) }

    let specification: MachineSpecification
    var ownNetwork: OwnNetwork?
    let initrdPaths: [String]
    let socketPath: String

    /// Words for the kernel's command line. Few lines on the console, for each byte of it is an exit of the machine.
    var bootArguments: String {
        var words = ["console=ttyS0", "reboot=k", "panic=-1"]
        words.append(specification.showsConsole ? "loglevel=7" : "quiet")
        if !specification.kernelArguments.isEmpty { words.append(specification.kernelArguments) }
        return words.joined(separator: " ")
    }

    var json: String {
        var drives = [rootDrive]
        for (index, disk) in specification.allDisks.enumerated() {
            drives.append(drive("disk\(index)", disk.path, isReadOnly: disk.isReadOnly))
        }
        var sections = [
            "\"boot-source\":{\"kernel_image_path\":\(quoted(specification.kernelPath)),\"boot_args\":\(quoted(bootArguments)),"
                + "\"initrd_paths\":[\(initrdPaths.map(quoted).joined(separator: ","))]}",
            "\"machine-config\":{\"vcpu_count\":\(specification.processors),\"mem_size_mib\":\(specification.memoryMebibytes)}",
            "\"drives\":[\(drives.joined(separator: ","))]",
            "\"vsock\":{\"guest_cid\":\(Self.guestCID),\"uds_path\":\(quoted(socketPath))}",
            "\"entropy\":{}",
            "\"balloon\":{\"amount_mib\":0,\"deflate_on_oom\":true,\"free_page_reporting\":true}",
            "\"console\":{\"input_descriptor\":-1}",
            "\"lifeline\":{\"descriptor\":0}",
        ]
        if case .tap(let name, _, _) = specification.network {
            sections.append("\"network-interfaces\":[{\"iface_id\":\"eth0\",\"host_dev_name\":\(quoted(name))}]")
        } else if let ownNetwork {
            sections.append(
                "\"network-interfaces\":[{\"iface_id\":\"eth0\",\"host_dev_name\":\"\(ownNetwork.deviceName)\","
                    + "\"host_address\":\"\(ownNetwork.host)\"}]")
        }
        return "{\(sections.joined(separator: ","))}\n"
    }

    private var rootDrive: String {
        let list = specification.imageDiskPaths.map(quoted).joined(separator: ",")
        return "{\"drive_id\":\"root\",\"segments\":[\(list)],\"is_read_only\":true}"
    }

    private func drive(_ id: String, _ path: String, isReadOnly: Bool) -> String {
        "{\"drive_id\":\"\(id)\",\"path_on_host\":\(quoted(path)),\"is_root_device\":false,\"is_read_only\":\(isReadOnly),"
            + "\"cache_type\":\"\(isReadOnly ? "Unsafe" : "Writeback")\"}"
    }

    /// A text as JSON has it. Source: RFC 8259 §7.
    private func quoted(_ text: String) -> String {
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
