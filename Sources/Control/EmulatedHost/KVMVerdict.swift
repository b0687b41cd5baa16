/// What this machine's KVM is good for.
public enum KVMVerdict: Equatable, Sendable {
    /// Kernel-mode guest code runs at full speed.
    case usable(picosecondsPerInstruction: Int)
    /// The processor itself is emulated, its virtualisation as well: slow, and as fast as anything on it.
    case processorIsEmulated
    /// KVM works, but executes kernel-mode instructions one by one in software: a kernel would need minutes to boot.
    case emulatesKernelMode(picosecondsPerInstruction: Int)
    /// There is no `/dev/kvm`; whether the processor says that it could.
    case missing(processorHasVirtualisation: Bool)
    /// This user may not open `/dev/kvm`; the group that may, when it has a name.
    case notPermitted(group: String?)
    /// A call to KVM did not work: which, and what the kernel said.
    case broken(String)
    /// The guest of the test did something else than to run to its end.
    case misbehaves(String)
    /// The guest of the test was still running after the time that the slowest known KVM needs many times over.
    case hangs

    /// Whether guests can be run on it.
    public var isUsable: Bool {
        switch self {
        case .usable, .processorIsEmulated: true
        default: false
        }
    }

    /// What was found, for a person.
    public var finding: String {
        switch self {
        case .usable(let picoseconds):
            "runs kernel-mode guest code at full speed (\(Self.nanoseconds(picoseconds)) ns an instruction)"
        case .processorIsEmulated: "runs kernel-mode guest code as fast as this emulated processor runs anything"
        case .emulatesKernelMode(let picoseconds):
            "opens, but kernel-mode guest code is emulated in software "
                + "(\(Self.nanoseconds(picoseconds)) ns an instruction)"
        case .missing(processorHasVirtualisation: true):
            "there is no /dev/kvm, though the processor has virtualisation"
        case .missing(processorHasVirtualisation: false):
            "there is no /dev/kvm, and the processor shows no virtualisation"
        case .notPermitted: "this user may not open /dev/kvm"
        case .broken(let call): "KVM does not work: \(call)"
        case .misbehaves(let what): "a small test guest did not run to its end: \(what)"
        case .hangs: "a small test guest never ended"
        }
    }

    /// What to do about it; nil when there is nothing to do.
    public var advice: String? {
        switch self {
        case .usable, .processorIsEmulated: nil
        case .emulatesKernelMode:
            "this machine is itself virtual and has no nested virtualisation; the emulated host is used"
        case .missing(processorHasVirtualisation: true):
            "load the module (`modprobe kvm_intel` or `modprobe kvm_amd`) and see what `dmesg` says when that is "
                + "refused; until then the emulated host is used"
        case .missing(processorHasVirtualisation: false):
            "switch virtualisation on in the firmware, or nested virtualisation where this machine is itself virtual; "
                + "until then the emulated host is used"
        case .notPermitted(group: let group?):
            "join the group that may: `sudo usermod --append --groups \(group) $USER`, then log in again"
        case .notPermitted(group: nil):
            "let this user open /dev/kvm (its owner is root and it has no group): see `ls -l /dev/kvm`"
        case .broken, .misbehaves, .hangs:
            "look for kvm in `dmesg`; until it works the emulated host is used"
        }
    }

    private static func nanoseconds(_ picoseconds: Int) -> String {
        let tenths = (picoseconds + 50) / 100
        return "\(tenths / 10).\(tenths % 10)"
    }
}
