import MachineConfiguration
import WireFormats

/// The bodies of requests, in the order in which their fields are written and named.
enum Shapes {
    static let action = JSONShape(
        "ActionBody",
        [JSONField("action_type", .choice(["FlushMetrics", "InstanceStart", "SendCtrlAltDel"]), .refused)])

    static let bootSource = JSONShape(
        "BootSourceConfig",
        [
            JSONField("kernel_image_path", .text, .refused), JSONField("initrd_path", .text),
            JSONField("boot_args", .text),
        ])

    private static let machineFields: [(String, JSONKind, JSONField.Absence)] = [
        ("vcpu_count", .byte, .refused), ("mem_size_mib", .size, .refused),
        ("smt", .boolean, .standsFor(.boolean(false))),
        ("cpu_template", .choice(["C3", "T2", "T2S", "None", "T2CL", "T2A"]), .omitted),
        ("track_dirty_pages", .boolean, .standsFor(.boolean(false))),
        ("huge_pages", .choice(["None", "2M"]), .standsFor(.string("None"))),
    ]
    static let machine = JSONShape("MachineConfig", machineFields.map { JSONField($0.0, $0.1, $0.2) })
    static let machineUpdate = JSONShape("MachineConfigUpdate", machineFields.map { JSONField($0.0, $0.1) })

    static let tokenBucket = JSONShape(
        "TokenBucketConfig",
        [
            JSONField("size", .word64, .refused), JSONField("one_time_burst", .word64),
            JSONField("refill_time", .word64, .refused),
        ])
    static let rateLimiter = JSONShape(
        "RateLimiterConfig", [JSONField("bandwidth", .object(tokenBucket)), JSONField("ops", .object(tokenBucket))])

    static let drive = drive(isBacked: false)
    /// One with a socket: its backend decides the rest.
    static let backedDrive = drive(isBacked: true)

    private static func drive(isBacked: Bool) -> JSONShape {
        JSONShape(
            "BlockDeviceConfig",
            [
                JSONField("drive_id", .text, .refused), JSONField("partuuid", .text),
                JSONField("is_root_device", .boolean, .refused),
                JSONField("cache_type", .choice(["Unsafe", "Writeback"]), .standsFor(.string("Unsafe"))),
                JSONField("is_read_only", .boolean, .standsFor(isBacked ? .null : .boolean(false))),
                JSONField("path_on_host", .text), JSONField("rate_limiter", .object(rateLimiter)),
                JSONField("io_engine", .choice(["Async", "Sync"]), .standsFor(isBacked ? .null : .string("Sync"))),
                JSONField("socket", .text),
            ])
    }
    static let driveUpdate = JSONShape(
        "BlockDeviceUpdateConfig",
        [
            JSONField("drive_id", .text, .refused), JSONField("path_on_host", .text),
            JSONField("rate_limiter", .object(rateLimiter)),
        ])

    static let interface = JSONShape(
        "NetworkInterfaceConfig",
        [
            JSONField("iface_id", .text, .refused), JSONField("host_dev_name", .text, .refused),
            JSONField("guest_mac", .checkedText("The provided MAC address is invalid.", isMAC)),
            JSONField("rx_rate_limiter", .object(rateLimiter)), JSONField("tx_rate_limiter", .object(rateLimiter)),
            JSONField("mtu", .word16, .omitted),
        ])
    static let interfaceUpdate = JSONShape(
        "NetworkInterfaceUpdateConfig",
        [
            JSONField("iface_id", .text, .refused), JSONField("rx_rate_limiter", .object(rateLimiter)),
            JSONField("tx_rate_limiter", .object(rateLimiter)),
        ])

    static let vsock = JSONShape(
        "VsockDeviceConfig",
        [
            JSONField("vsock_id", .text, .omitted), JSONField("guest_cid", .word32, .refused),
            JSONField("uds_path", .text, .refused),
        ])

    static let balloon = JSONShape(
        "BalloonDeviceConfig",
        [
            JSONField("amount_mib", .word32, .refused), JSONField("deflate_on_oom", .boolean, .refused),
            JSONField("stats_polling_interval_s", .word16, .standsFor(.integer(0))),
            JSONField("free_page_hinting", .boolean, .omitted),
            JSONField("free_page_reporting", .boolean, .omitted),
        ])
    static let balloonUpdate = JSONShape("BalloonUpdateConfig", [JSONField("amount_mib", .word32, .refused)])
    static let balloonStatistics = JSONShape(
        "BalloonUpdateStatsConfig", [JSONField("stats_polling_interval_s", .word16, .refused)])

    static let persistentMemory = JSONShape(
        "PmemConfig",
        [
            JSONField("id", .text, .refused), JSONField("path_on_host", .text, .refused),
            JSONField("root_device", .boolean, .standsFor(.boolean(false))),
            JSONField("read_only", .boolean, .standsFor(.boolean(false))),
            JSONField("rate_limiter", .object(rateLimiter)),
        ])
    static let persistentMemoryUpdate = JSONShape(
        "PmemDeviceUpdateConfig",
        [JSONField("id", .text, .refused), JSONField("rate_limiter", .object(rateLimiter))])

    static let memory = JSONShape(
        "MemoryHotplugConfig",
        [
            JSONField("total_size_mib", .size, .refused),
            JSONField("block_size_mib", .size, .standsFor(.integer(2))),
            JSONField("slot_size_mib", .size, .standsFor(.integer(128))),
        ])
    static let memoryUpdate = JSONShape(
        "MemoryHotplugSizeUpdate", [JSONField("requested_size_mib", .size, .refused)])

    static let hinting = JSONShape("StartHintingCmd", [JSONField("acknowledge_on_stop", .boolean, .omitted)])

    static let entropy = JSONShape("EntropyDeviceConfig", [JSONField("rate_limiter", .object(rateLimiter))])

    static let processors = JSONShape(
        "CustomCpuTemplate",
        [
            JSONField("kvm_capabilities", .list(capability), .omitted),
            JSONField("cpuid_modifiers", .list(.object(leafModifier)), .omitted),
            JSONField("msr_modifiers", .list(.object(modelRegisterModifier)), .omitted),
        ])
    private static let capability = JSONKind.checkedText(
        "Failed to parse string as a kvm capability - can not convert to numeric: invalid digit found in string",
        ProcessorTemplate.isCapability)
    private static let prefixedNumber = JSONKind.checkedText(
        "No supported number system prefix found in value. Make sure to prefix the number with '0x' for hexadecimal numbers or '0b' for binary numbers.",
        ProcessorTemplate.isNumber)
    private static let badBitmap = "Failed to parse string as a bitmap"
    private static let registerModifier = JSONShape(
        "CpuidRegisterModifier", isLenient: true,
        [
            JSONField(
                "register",
                .checkedText(
                    "Invalid CPUID register. Must be one of [eax, ebx, ecx, edx]", ProcessorTemplate.isRegister),
                .refused),
            JSONField("bitmap", .checkedText(badBitmap, ProcessorTemplate.isBitmap32), .refused),
        ])
    private static let leafModifier = JSONShape(
        "CpuidLeafModifier", isLenient: true,
        [
            JSONField("leaf", prefixedNumber, .refused), JSONField("subleaf", prefixedNumber, .refused),
            JSONField("flags", .word32, .refused), JSONField("modifiers", .list(.object(registerModifier)), .refused),
        ])
    private static let modelRegisterModifier = JSONShape(
        "RegisterModifier", isLenient: true,
        [
            JSONField("addr", prefixedNumber, .refused),
            JSONField("bitmap", .checkedText(badBitmap, ProcessorTemplate.isBitmap64), .refused),
        ])

    static let logger = JSONShape(
        "LoggerConfig",
        [
            JSONField("log_path", .text), JSONField("level", .checkedText("Invalid LevelFilter", isLevel)),
            JSONField("show_level", .boolean), JSONField("show_log_origin", .boolean), JSONField("module", .text),
        ])
    static let metrics = JSONShape("MetricsConfig", isLenient: true, [JSONField("metrics_path", .text, .refused)])

    static let metadata = JSONShape(
        "MmdsConfig",
        [
            JSONField("version", .choice(["V1", "V2"]), .standsFor(.string("V1"))),
            JSONField("network_interfaces", .list(.text), .refused),
            JSONField(
                "ipv4_address", .checkedText("invalid IPv4 address syntax", isIPv4),
                .standsFor(.string("169.254.169.254"))),
            JSONField("imds_compat", .boolean, .omitted),
        ])

    static let machineState = JSONShape("Vm", [JSONField("state", .choice(["Paused", "Resumed"]), .refused)])

    static let snapshotCreate = JSONShape(
        "CreateSnapshotParams",
        [
            JSONField("snapshot_type", .choice(["Diff", "Full"]), .standsFor(.string("Full"))),
            JSONField("snapshot_path", .text, .refused), JSONField("mem_file_path", .text, .refused),
        ])
    static let workingSet = JSONShape("WorkingSetParams", [JSONField("mem_file_path", .text, .refused)])
    private static let memoryBackend = JSONShape(
        "MemBackendConfig",
        [
            JSONField("backend_path", .text, .refused),
            JSONField("backend_type", .choice(["File", "Uffd"]), .refused),
        ])
    private static let networkOverride = JSONShape(
        "NetworkOverride",
        [JSONField("iface_id", .text, .refused), JSONField("host_dev_name", .text, .refused)])
    private static let loadFields = [
        JSONField("snapshot_path", .text, .refused), JSONField("mem_file_path", .text),
        JSONField("mem_backend", .object(memoryBackend)), JSONField("enable_diff_snapshots", .boolean),
        JSONField("track_dirty_pages", .boolean), JSONField("resume_vm", .boolean),
        JSONField("network_overrides", .list(.object(networkOverride))),
    ]
    static let snapshotLoad = JSONShape("LoadSnapshotConfig", loadFields)
    /// Ours.
    static let checkedLoad = JSONShape(
        "LoadSnapshotConfig",
        loadFields + [JSONField("mem_tree_path", .text, .refused), JSONField("mem_root", .text, .refused)])

    /// Ours.
    static let hugeLoad = JSONShape(
        "LoadSnapshotConfig", loadFields + [JSONField("huge_pages", .choice(["None", "2M"]), .refused)])

    // MARK: Texts with a form of their own

    /// Six pairs of hexadecimal digits with colons between them.
    @Sendable static func isMAC(_ text: String) -> Bool {
        var index = 0
        for byte in text.utf8 {
            if index % 3 == 2 {
                if byte != UInt8(ascii: ":") { return false }
            } else if hexadecimalDigit(byte) == nil {
                return false
            }
            index += 1
        }
        return index == 17
    }

    @Sendable static func isLevel(_ text: String) -> Bool { LogLevel(name: text) != nil }

    @Sendable static func isIPv4(_ text: String) -> Bool { IPv4Text.parse(text) != nil }

    static func hexadecimalDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x37
        case 0x61...0x66: byte - 0x57
        default: nil
        }
    }
}

/// An IPv4 address as people write it.
enum IPv4Text {
    /// Four bytes in network order; nil for anything but four numbers with dots between them.
    static func parse(_ text: String) -> UInt32? {
        var address: UInt32 = 0
        var number: UInt32 = 0
        var digits = 0
        var dots = 0
        for byte in text.utf8 {
            if byte == UInt8(ascii: ".") {
                guard digits > 0, dots < 3 else { return nil }
                address = address << 8 | number
                number = 0
                digits = 0
                dots += 1
                continue
            }
            guard byte >= 0x30, byte <= 0x39, digits < 3, digits == 0 || number > 0 else { return nil }
            number = number * 10 + UInt32(byte - 0x30)
            digits += 1
            if number > 255 { return nil }
        }
        return dots == 3 && digits > 0 ? address << 8 | number : nil
    }
}
