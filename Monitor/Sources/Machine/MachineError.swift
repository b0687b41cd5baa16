public import GuestBoot
public import KVMHost
public import LinuxCalls
public import Snapshots
public import VirtioDevices

/// Why a machine could not be built. Nothing has run then, and everything opened is closed again.
public enum MachineError: Error, Sendable {
    case kvmUnavailable(KVMError)
    case kvm(KVMError)
    case memory(mebibytes: UInt64, LinuxError)
    case file(purpose: String, path: String, LinuxError)
    case boot(BootError, kernelPath: String)
    /// The text names the device's field.
    case device(String)
    /// What a template for processors wants and this host does not have; the text says what.
    case processorTemplate(String)
    case system(doing: String, LinuxError)
    case snapshot(SnapshotError)
    /// A device's state, by its place in the snapshot.
    case deviceState(index: Int, TransportStateError)
    /// The snapshot was made of another machine; the text says what differs.
    case otherMachine(String)
    /// Pages cannot be put in their places as they are touched.
    case pagesUnserved(LinuxError)
    /// What cannot be had with plugged memory; the text says what, and the way out.
    case plugged(String)
    /// Huge pages cannot be kept as they were while the guest writes them.
    case pagesUnkept(LinuxError)
    /// What is asked for needs a machine that stands still.
    case notPaused
    /// What is asked for needs a machine that was made from a snapshot.
    case notRestored
    /// A differential snapshot of a machine that has no snapshot that it could be relative to.
    case changesUnknown
    /// A differential snapshot of a machine whose process may not look at its page table.
    case changesUnseen
}

extension MachineError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .kvmUnavailable(let error):
            "cannot use KVM (\(error)): load the kvm-intel or kvm-amd module, and give this user access to /dev/kvm"
        case .kvm(let error): "KVM refused: \(error)"
        case .memory(let mebibytes, let error): "cannot get \(mebibytes) MiB of guest memory: \(error)"
        case .file(let purpose, let path, let error): "\(purpose) \"\(path)\": \(error)"
        case .boot(let error, let path): "kernel \"\(path)\": \(error)"
        case .device(let text), .processorTemplate(let text), .plugged(let text): text
        case .system(let doing, let error): "\(doing): \(error)"
        case .snapshot(let error): "snapshot: \(error)"
        case .deviceState(let index, let error): "snapshot, device \(index): \(error)"
        case .otherMachine(let difference): "the snapshot is another machine's: \(difference)"
        case .pagesUnserved(let error):
            "the snapshot's memory cannot be had page by page, which needs userfaultfd (\(error)): give this user access to "
                + "/dev/userfaultfd, or set the sysctl vm.unprivileged_userfaultfd"
        case .pagesUnkept(let error):
            "huge pages cannot be kept while the guest runs, which needs userfaultfd of Linux 5.19 (\(error)); pause it first"
        case .changesUnknown:
            "what changed is not known: track_dirty_pages must be set before the machine starts, or it must have been made "
                + "from a snapshot; make a full snapshot"
        case .changesUnseen: "what changed cannot be seen in this machine's jail; make a full snapshot"
        case .notRestored: "the machine was not made from a snapshot's memory file"
        case .notPaused: "the machine runs; pause it first"
        }
    }
}
