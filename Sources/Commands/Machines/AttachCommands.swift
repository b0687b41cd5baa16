import ArgumentParser
import Fleet

struct AttachCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attach", abstract: "Give a machine disks, volumes and network interfaces while it runs.",
        discussion: """
            The guest takes each at once, and its name for it is printed: vdc, eth1. It stays until it is detached or the machine
            boots anew. The options say what those of `run` say.

            Examples:
              swiftlet attach --disk data.img web
              swiftlet attach --volume photos:/srv/photos web
              swiftlet attach --network tap web
              swiftlet detach web vdc
            """)

    @Option(
        help: ArgumentHelp(
            "A raw disk (a file or block device), with :ro read-only. May be repeated.", valueName: "path[:ro]"),
        completion: .file())
    var disk: [String] = []
    @Option(
        name: [.short, .long],
        help: ArgumentHelp(
            "A volume, made if there is none of that name, and its place. May be repeated.",
            valueName: "name:/path[:ro]"), completion: Completions.volumes)
    var volume: [String] = []
    @Option(
        help: ArgumentHelp("A network, as `run --network` has it. May be repeated.", valueName: "network"),
        completion: Completions.networks)
    var network: [String] = []
    @Argument(help: "The machine's name or id.", completion: Completions.machines) var machine: String
    @OptionGroup var format: FormatOptions

    func validate() throws {
        guard !(disk + volume + network).isEmpty else {
            throw ValidationError(
                "say what is to be attached: --disk, --volume or --network; see `swiftlet attach --help`")
        }
    }

    func run() throws {
        var devices: [DeviceAttachment.Device] = try disk.map { .disk(try RunCommand.disk($0)) }
        for text in volume {
            guard !SharedFolder.isOne(text) else {
                throw CommandFailure(
                    "usage.volume",
                    "\"\(text)\" is a folder of this computer, which a machine can only be given when it is made (run --volume); a volume has a name without a slash"
                )
            }
            devices.append(.volume(try VolumeAttachment(parsing: text)))
        }
        for interface in try MachineInterface.list(parsing: network) {
            guard interface.network != .none else {
                throw ValidationError("there is nothing to attach in --network none")
            }
            devices.append(.interface(interface))
        }
        for device in devices {
            let attached = try MachineRemote.attach(device, to: machine, in: Product.fleet.store)
            if format.isJSON {
                Output.json(AttachmentDocument(attached))
            } else {
                Output.line(attached.guestName ?? "")
            }
        }
    }
}

struct DetachCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "detach", abstract: "Take away what was attached to a machine that runs.",
        discussion: """
            The guest lets go of it first: a volume is unmounted, and what is in use stays, unless --force is given.

            Examples:
              swiftlet detach web vdc
              swiftlet detach web photos
              swiftlet detach --force web eth1
            """)

    @Flag(help: "Also when the guest uses it or does not answer: as a cable is pulled.") var force = false
    @Argument(help: "The machine's name or id.", completion: Completions.machines) var machine: String
    @Argument(help: "What is to go: the guest's name for it (vdc, eth1), the disk's path or the volume's name.")
    var devices: [String]
    @OptionGroup var format: ErrorFormatOptions

    func run() throws {
        for device in devices {
            try MachineRemote.detach(device, from: machine, in: Product.fleet.store, isForced: force)
        }
    }
}

/// A device that has come while the machine ran, for programs: names that stay.
struct AttachmentDocument: Encodable {
    /// The guest's name for it; nil where it was interrupted on its way.
    var name: String?
    /// `disk`, `volume` or `network`.
    var kind: String
    var path: String?
    var isReadOnly: Bool?
    var volume: String?
    /// Where a volume is mounted.
    var target: String?
    var interface: InterfaceDocument?

    init(_ attachment: DeviceAttachment) {
        name = attachment.guestName
        switch attachment.device {
        case .disk: kind = "disk"
        case .volume(let place):
            kind = "volume"
            volume = place.name
            target = place.target
        case .interface: kind = "network"
        }
        path = attachment.disk?.path
        isReadOnly = attachment.disk?.isReadOnly
        interface = attachment.assignedInterface.map(InterfaceDocument.init)
    }
}
