import MachineConfiguration
import WireFormats

/// What was asked for before the start, as it was asked for.
struct KeptConfiguration {
    /// Firecracker's, for those who give none.
    static let standardArguments =
        "reboot=k panic=1 pci=off nomodule 8250.nr_uarts=0 i8042.noaux i8042.nomux i8042.nopnp i8042.dumbkbd"

    var bootSource: JSONValue?
    var machine = JSONValue.object([
        JSONMember("vcpu_count", .integer(1)), JSONMember("mem_size_mib", .integer(128)),
    ]).completed(Shapes.machine)
    var processors: ProcessorTemplate?
    var drives: [JSONValue] = []
    /// Drives with a socket whose backends take no writes.
    var readOnlyBackends: [String] = []
    var interfaces: [JSONValue] = []
    var vsock: JSONValue?
    var balloon: JSONValue?
    var entropy: JSONValue?
    var persistentMemories: [JSONValue] = []
    var memory: JSONValue?
    var metadata: JSONValue?

    init() {}

    /// What a file says, or a document as `document` is.
    init(ofFile file: JSONValue) {
        func section(_ name: String) -> JSONValue? { file[name].flatMap { $0 == .null ? nil : $0 } }
        machine = (section("machine-config") ?? machine).completed(Shapes.machine)
        bootSource = section("boot-source")
        drives = section("drives")?.elements ?? []
        interfaces = section("network-interfaces")?.elements ?? []
        vsock = section("vsock")
        balloon = section("balloon")
        entropy = section("entropy")
        persistentMemories = section("pmem")?.elements ?? []
        memory = section("memory-hotplug")
        metadata = section("mmds-config")
    }

    var isUntouched: Bool {
        bootSource == nil && drives.isEmpty && interfaces.isEmpty && vsock == nil && balloon == nil && entropy == nil
            && metadata == nil && memory == nil && persistentMemories.isEmpty
    }

    var hasHugePages: Bool { machine.text("huge_pages") == "2M" }

    /// `GET /vm/config`.
    var document: JSONValue {
        let noBootSource = JSONValue.object([JSONMember("kernel_image_path", .string(""))])
        // What 1.12 does not know is shown where it is asked for.
        var later = memory.map { [JSONMember("memory-hotplug", $0)] } ?? []
        if !persistentMemories.isEmpty { later.append(JSONMember("pmem", .array(persistentMemories))) }
        let members = [
            JSONMember("balloon", balloon ?? .null),
            JSONMember("drives", .array(drives)),
            JSONMember("boot-source", (bootSource ?? noBootSource).completed(Shapes.bootSource)),
            JSONMember("cpu-config", .null),
            JSONMember("logger", .null),
            JSONMember("machine-config", machine),
            JSONMember("metrics", .null),
            JSONMember("mmds-config", metadata ?? .null),
            JSONMember("network-interfaces", .array(interfaces)),
            JSONMember("vsock", vsock ?? .null),
            JSONMember("entropy", entropy ?? .null),
        ]
        return .object(members + later)
    }

    /// The machine to build.
    func machineConfiguration() throws(ConfigurationError) -> VirtualMachineConfiguration {
        var members: [JSONMember] = [
            JSONMember("machine-config", .object((machine.members ?? []).filter { $0.name != "cpu_template" }))
        ]
        if let bootSource {
            members.append(
                JSONMember(
                    "boot-source", bootSource.replacing("boot_args", with: .string(arguments(bootSource)))))
        }
        members.append(JSONMember("drives", .array(drives)))
        members.append(JSONMember("network-interfaces", .array(interfaces)))
        if let vsock { members.append(JSONMember("vsock", vsock)) }
        if let balloon { members.append(JSONMember("balloon", balloon)) }
        if !persistentMemories.isEmpty { members.append(JSONMember("pmem", .array(persistentMemories))) }
        if let memory { members.append(JSONMember("memory-hotplug", memory)) }
        if let entropy { members.append(JSONMember("entropy", entropy)) }
        var configuration = try VirtualMachineConfiguration.parse(document: .object(members))
        configuration.announcesKeyboard = true
        configuration.processorTemplate = processors ?? ProcessorTemplate(named: machine.text("cpu_template") ?? "")
        return configuration
    }

    /// The kernel's command line: the root drive is named in it.
    private func arguments(_ bootSource: JSONValue) -> String {
        let given = bootSource.text("boot_args") ?? Self.standardArguments
        for drive in drives where drive.boolean("is_root_device") == true {
            let isReadOnly =
                drive.boolean("is_read_only") == true || readOnlyBackends.contains(drive.text("drive_id") ?? "")
            let mode = isReadOnly ? "ro" : "rw"
            if let partition = drive.text("partuuid") { return "\(given) root=PARTUUID=\(partition) \(mode)" }
            return "\(given) root=/dev/vda \(mode)"
        }
        for (index, file) in persistentMemories.enumerated() where file.boolean("root_device") == true {
            return "\(given) root=/dev/pmem\(index) \(file.boolean("read_only") == true ? "ro" : "rw")"
        }
        return given
    }
}

extension JSONValue {
    /// The object with one member more, or another one of that name.
    @inline(never)
    func replacing(_ name: String, with value: JSONValue) -> JSONValue {
        guard var members else { return self }
        if let index = members.firstIndex(where: { $0.name == name }) {
            members[index] = JSONMember(name, value)
        } else {
            members.append(JSONMember(name, value))
        }
        return .object(members)
    }

    /// The object with what another has over it; a null there changes nothing.
    func overlaid(by other: JSONValue) -> JSONValue {
        var result = self
        for member in other.members ?? [] where member.value != .null {
            result = result.replacing(member.name, with: member.value)
        }
        return result
    }
}
