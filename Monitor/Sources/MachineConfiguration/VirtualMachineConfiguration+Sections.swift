import WireFormats

extension VirtualMachineConfiguration.BootSource {
    init(_ value: JSONValue) throws(ConfigurationError) {
        let reader = try ObjectReader(
            value, path: "boot-source",
            known: ["kernel_image_path", "boot_args", "initrd_path", "initrd_paths", "boot_protocol"])
        let kernel = try reader.requiredText("kernel_image_path", wanted: "the path of a kernel (vmlinux or bzImage)")
        var initrds: [String] = []
        if let path = try reader.text("initrd_path") { initrds.append(path) }
        for (index, element) in try reader.list("initrd_paths").enumerated() {
            guard case .string(let path) = element else {
                throw .invalid(
                    field: "boot-source.initrd_paths[\(index)]", found: element.described, wanted: "a path")
            }
            initrds.append(path)
        }
        let bootProtocol: BootProtocol
        switch try reader.text("boot_protocol") {
        case nil, "auto": bootProtocol = .automatic
        case "linux64": bootProtocol = .linux64
        case "pvh": bootProtocol = .pvh
        default: throw reader.invalid("boot_protocol", wanted: "\"auto\", \"linux64\" or \"pvh\"")
        }
        self.init(
            kernelImagePath: kernel, bootArguments: try reader.text("boot_args") ?? "", initrdPaths: initrds,
            bootProtocol: bootProtocol)
    }
}

extension VirtualMachineConfiguration.Drive {
    init(_ value: JSONValue, path: String) throws(ConfigurationError) {
        let reader = try ObjectReader(
            value, path: path,
            known: [
                "drive_id", "path_on_host", "segments", "is_root_device", "is_read_only", "partuuid", "cache_type",
                "io_engine",
                "rate_limiter", "socket",
            ])
        let id = try reader.identifier("drive_id")
        if let path = try reader.text("socket") {
            self.init(id: id, pathOnHost: "")
            socket = path
            for name in ["path_on_host", "segments", "is_read_only", "io_engine", "rate_limiter"] {
                try reader.refuse(name, reason: "the drive has a socket, and is its backend's")
            }
        } else if reader.value("segments") == nil {
            self.init(
                id: id,
                pathOnHost: try reader.requiredText(
                    "path_on_host", wanted: "the path of a file or block device, or segments"))
        } else {
            self.init(id: id, pathOnHost: "")
            try reader.refuse("path_on_host", reason: "the drive has segments")
            segments = try Self.parseSegments(reader)
        }
        isRootDevice = try reader.boolean("is_root_device") ?? false
        isReadOnly = try reader.boolean("is_read_only") ?? false
        if !segments.isEmpty, !isReadOnly {
            throw reader.invalid("is_read_only", wanted: "true: a drive of segments cannot be written")
        }
        partitionUUID = try reader.text("partuuid")
        limits = try reader.limits("rate_limiter")
        switch try reader.text("cache_type") {
        case nil, "Unsafe": cacheType = .unsafe
        case "Writeback": cacheType = .writeback
        default: throw reader.invalid("cache_type", wanted: "\"Unsafe\" or \"Writeback\"")
        }
        switch try reader.text("io_engine") {
        case nil: ioEngine = .automatic
        case "Sync": ioEngine = .synchronous
        case "Async": ioEngine = .asynchronous
        default: throw reader.invalid("io_engine", wanted: "\"Sync\" or \"Async\"")
        }
    }
}

extension VirtualMachineConfiguration.Drive {
    private static func parseSegments(_ reader: ObjectReader) throws(ConfigurationError) -> [String] {
        let elements = try reader.list("segments")
        guard !elements.isEmpty, elements.count <= maximumSegments else {
            throw .invalid(
                field: reader.field("segments"), found: "\(elements.count) paths",
                wanted: "1 to \(maximumSegments) paths of files")
        }
        var paths: [String] = []
        for (index, element) in elements.enumerated() {
            guard case .string(let path) = element, !path.isEmpty else {
                throw .invalid(
                    field: reader.field("segments[\(index)]"), found: element.described,
                    wanted: "the path of a file or block device")
            }
            paths.append(path)
        }
        return paths
    }
}

extension VirtualMachineConfiguration.NetworkInterface {
    init(_ value: JSONValue, path: String) throws(ConfigurationError) {
        let reader = try ObjectReader(
            value, path: path,
            known: [
                "iface_id", "host_dev_name", "guest_mac", "mtu", "host_address", "rx_rate_limiter", "tx_rate_limiter",
            ])
        self.init(
            id: try reader.identifier("iface_id"),
            hostDeviceName: try reader.requiredText("host_dev_name", wanted: "the name of a TAP device"))
        // IFNAMSIZ is 16 with its final zero.
        if hostDeviceName.utf8.count > 15 {
            throw reader.invalid("host_dev_name", wanted: "the name of a TAP device, at most 15 bytes")
        }
        if let text = try reader.text("guest_mac") {
            guard let address = Self.parseMAC(text) else {
                throw reader.invalid("guest_mac", wanted: "an address such as \"06:00:ac:10:00:02\", not a group's")
            }
            guestMAC = address
        }
        if let value = try reader.integer("mtu", 68...65_535) { mtu = UInt16(value) }
        receiveLimits = try reader.limits("rx_rate_limiter")
        transmitLimits = try reader.limits("tx_rate_limiter")
        if let text = try reader.text("host_address") {
            guard let address = Self.parseAddress(text) else {
                throw reader.invalid("host_address", wanted: "an IPv4 address and its prefix, such as \"10.0.0.1/30\"")
            }
            hostAddress = address
        }
    }

    /// Four decimal numbers up to 255, and after a slash one up to 32.
    public static func parseAddress(_ text: String) -> Address? {
        let halves = text.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard halves.count == 2, let prefixLength = decimal(halves[1]), prefixLength <= 32 else { return nil }
        var bytes: [UInt8] = []
        for part in halves[0].split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false) {
            guard let byte = decimal(part) else { return nil }
            bytes.append(byte)
        }
        return bytes.count == 4 ? Address(bytes, prefixLength: prefixLength) : nil
    }

    private static func decimal(_ digits: Substring.UTF8View) -> UInt8? {
        guard digits.first != UInt8(ascii: "+") else { return nil }
        return UInt8(Substring(digits))
    }

    /// Six pairs of hexadecimal digits with colons between; group addresses (lowest bit of the first byte) will not do.
    private static func parseMAC(_ text: String) -> [UInt8]? {
        var bytes: [UInt8] = []
        for part in text.utf8.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false) {
            guard part.count == 2, part.first != UInt8(ascii: "+"), let byte = UInt8(Substring(part), radix: 16) else {
                return nil
            }
            bytes.append(byte)
        }
        guard bytes.count == 6, bytes[0] & 1 == 0 else { return nil }
        return bytes
    }
}

extension VirtualMachineConfiguration.Vsock {
    init(_ value: JSONValue) throws(ConfigurationError) {
        let reader = try ObjectReader(value, path: "vsock", known: ["guest_cid", "uds_path", "vsock_id"])
        let cid = try reader.requiredInteger("guest_cid", 3...0xffff_fffe)
        let path = try reader.requiredText("uds_path", wanted: "the path of a Unix socket to be made")
        // sun_path holds 108 bytes with its final zero; `_` and a port of up to ten digits are appended to it.
        if path.utf8.count > 96 { throw reader.invalid("uds_path", wanted: "a path of at most 96 bytes") }
        self.init(guestCID: UInt32(cid), udsPath: path)
    }
}

extension VirtualMachineConfiguration.SharedFolder {
    init(_ value: JSONValue, path: String) throws(ConfigurationError) {
        let reader = try ObjectReader(
            value, path: path, known: ["tag", "path_on_host", "is_read_only", "owner_uid", "owner_gid"])
        let tag = try reader.identifier("tag")
        if tag.utf8.count > 36 { throw reader.invalid("tag", wanted: "a name of at most 36 bytes") }
        self.init(tag: tag, pathOnHost: try reader.requiredText("path_on_host", wanted: "the path of a folder"))
        isReadOnly = try reader.boolean("is_read_only") ?? false
        let numbers: ClosedRange<Int64> = 0...0xffff_fffe
        if let user = try reader.integer("owner_uid", numbers) {
            owner = Owner(user: UInt32(user), group: UInt32(try reader.requiredInteger("owner_gid", numbers)))
        } else {
            try reader.refuse("owner_gid", reason: "there is no owner_uid beside it")
        }
    }
}

extension VirtualMachineConfiguration.Balloon {
    init(_ value: JSONValue, memoryMebibytes: UInt64) throws(ConfigurationError) {
        let reader = try ObjectReader(
            value, path: "balloon",
            known: [
                "amount_mib", "deflate_on_oom", "stats_polling_interval_s", "free_page_hinting",
                "free_page_reporting",
            ])
        guard let isDeflating = try reader.boolean("deflate_on_oom") else {
            throw .missing(field: "balloon.deflate_on_oom", wanted: "true or false")
        }
        self.init(
            amountMebibytes: UInt32(try reader.requiredInteger("amount_mib", 0...Int64(memoryMebibytes))),
            isDeflatingOnOutOfMemory: isDeflating)
        statisticsIntervalSeconds = UInt32(try reader.integer("stats_polling_interval_s", 0...65_535) ?? 0)
        isHintingFreePages = try reader.boolean("free_page_hinting") ?? false
        isReportingFreePages = try reader.boolean("free_page_reporting") ?? false
    }
}

extension VirtualMachineConfiguration.Console {
    init(_ value: JSONValue) throws(ConfigurationError) {
        let reader = try ObjectReader(
            value, path: "console", known: ["enabled", "input_descriptor", "output_descriptor"])
        self.init()
        isEnabled = try reader.boolean("enabled") ?? true
        // -1 stands for no input at all.
        if let input = try reader.integer("input_descriptor", -1...descriptorRange.upperBound) {
            inputDescriptor = input < 0 ? nil : Int32(input)
        }
        if let output = try reader.integer("output_descriptor", descriptorRange) { outputDescriptor = Int32(output) }
    }
}

extension VirtualMachineConfiguration.Control {
    init(_ value: JSONValue) throws(ConfigurationError) {
        let reader = try ObjectReader(value, path: "control", known: ["socket_path", "folder"])
        let path = try reader.requiredText("socket_path", wanted: "the path of a Unix socket to be made")
        // sun_path holds 108 bytes with its final zero.
        if path.utf8.count > 107 { throw reader.invalid("socket_path", wanted: "a path of at most 107 bytes") }
        self.init(
            socketPath: path,
            folder: try reader.requiredText("folder", wanted: "the path of a folder for the snapshots that are made"))
    }
}

extension VirtualMachineConfiguration.Restore {
    init(_ value: JSONValue) throws(ConfigurationError) {
        let reader = try ObjectReader(
            value, path: "restore", known: ["folder", "state", "memory", "tree", "root", "resume"])
        var tree: VirtualMachineConfiguration.MemoryTreeReference?
        if reader.value("tree") != nil || reader.value("root") != nil {
            let wanted = "the 64 digits of the memory's root"
            tree = .init(
                path: try reader.requiredText("tree", wanted: "the name of the memory's hash tree in that folder"),
                root: try reader.requiredText("root", wanted: wanted))
            if tree == nil { throw reader.invalid("root", wanted: wanted) }
        }
        self.init(
            folder: try reader.requiredText("folder", wanted: "the path of the snapshot's folder"),
            state: try reader.requiredText("state", wanted: "the name of the state file in that folder"),
            memory: try reader.requiredText("memory", wanted: "the name of the memory file in that folder"), tree: tree,
            resumes: try reader.boolean("resume") ?? true)
    }
}

extension ObjectReader {
    /// An identifier: ASCII letters, digits and underscores.
    func identifier(_ name: String) throws(ConfigurationError) -> String {
        let wanted = "a name of letters, digits and underscores, at most 64"
        let text = try requiredText(name, wanted: wanted)
        let isValid = text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
                true
            default: false
            }
        }
        guard isValid, text.utf8.count <= 64 else { throw invalid(name, wanted: wanted) }
        return text
    }
}
