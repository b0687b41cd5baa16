/// The emulator's command line. Everything that decides what the machine looks like is the same for making a template and
/// for restoring it; that is a condition for the latter.
struct EmulatorCommand {
    /// The TCP port on which the agent of a host listens.
    static let agentPort = 1024
    /// The 9p share of the outer machine's file system.
    static let shareTag = "outer"
    /// Without the fast string instructions: the emulator does them byte by byte, 36 ns each, so that kernels which
    /// believe in their speed copy and clear twenty times more slowly than those which copy words.
    private static let processor = "max,+svm,-erms,-fsrm"

    let settings: HostSettings

    private var machine: [String] { [settings.emulator] + hardware }

    /// Paths without a folder are in the template's folder, in which the emulator is started: it would take a comma in a
    /// path for the end of an option.
    private var hardware: [String] {
        let ownership = HostFacts.isRoot ? "passthrough" : "none"
        return [
            "-accel", "tcg,thread=multi", "-M", "q35,memory-backend=ram", "-cpu", Self.processor,
            "-smp", "\(settings.processors)", "-m", "\(settings.memoryMebibytes)",
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-fsdev", "local,id=outer,path=/,security_model=\(ownership),multidevs=remap",
            "-device", "virtio-9p-pci,fsdev=outer,mount_tag=\(Self.shareTag)",
            "-netdev", "user,id=control,restrict=on,hostfwd=tcp:127.0.0.1:0-:\(Self.agentPort)",
            "-device", "virtio-net-pci,netdev=control,romfile=",
        ]
    }

    private var files: [String] {
        [
            "-serial", "file:\(Self.escaped(settings.consoleLog))",
            "-qmp", "unix:\(Self.escaped(settings.controlSocket)),server=on,wait=off",
            "-pidfile", settings.processIDFile,
        ]
    }

    /// The host's kernel command line.
    static let kernelArguments = [
        "console=ttyS0", "quiet", "loglevel=3", "panic=-1", "reboot=t", "rdinit=/init",
        // What the host does is emulated anyway: nothing is gained by guarding against a processor's faults.
        "mitigations=off", "nokaslr", "audit=0", "nowatchdog", "cryptomgr.notests", "rcupdate.rcu_expedited=1",
        "random.trust_cpu=on", "no_timer_check", "tsc=reliable", "init_on_alloc=0",
        "swiftlet.role=host",
    ]

    /// Boots, with the memory in the file `memory`, to be kept.
    func making(kernel: String) -> [String] {
        machine + [
            "-object", "memory-backend-file,id=ram,mem-path=memory,size=\(settings.memoryMebibytes)M,share=on",
            "-kernel", kernel, "-initrd", "initial", "-append", Self.kernelArguments.joined(separator: " "),
        ] + files
    }

    /// Waits to be told to restore, with the memory taken from the file `memory` as it is touched, and never changed there.
    func restoring() -> [String] {
        machine + [
            "-object", "memory-backend-file,id=ram,mem-path=memory,size=\(settings.memoryMebibytes)M,share=off",
            "-incoming", "defer",
        ] + files
    }

    /// What a template depends on besides its files.
    var fingerprintText: String { (hardware + Self.kernelArguments).joined(separator: "\n") }

    /// As the emulator wants a comma inside an option's value.
    static func escaped(_ path: String) -> String {
        path.split(separator: ",", omittingEmptySubsequences: false).joined(separator: ",,")
    }
}
