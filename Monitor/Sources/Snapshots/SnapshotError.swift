public import LinuxCalls

/// Why a snapshot is not what it should be. Nothing was started then.
public enum SnapshotError: Error, Equatable, Sendable {
    /// The file does not begin as a snapshot does.
    case notASnapshot
    /// Made by a newer version of the format than this one reads.
    case newer(major: UInt16, minor: UInt16)
    /// Of another kind of processor.
    case architecture(UInt32)
    /// The file is shorter or longer than it says of itself.
    case length(found: UInt64, wanted: UInt64)
    /// A byte of it is not the one that was written.
    case damaged
    /// Well-formed as a file, but not as a machine; the text names the part.
    case malformed(StaticString)
    /// The memory file is shorter than the guest's memory.
    case memoryTooShort(found: UInt64, wanted: UInt64)
    /// The memory file belongs to another snapshot, or is none.
    case foreignMemory
    /// The memory file has only what changed since another snapshot.
    case differentialMemory
    /// A memory file that was to have what changed since another snapshot, and is another kind of file.
    case notDifferential
    /// A full memory file was wanted.
    case notFull
    /// What a memory file says of itself does not fit together.
    case damagedMemory
    /// The snapshot that a differential one belongs to is another one.
    case otherParent
    /// Of a machine with other memory.
    case otherMemorySize(found: UInt64, wanted: UInt64)
    /// The processor lacks what the guest was told it has.
    case processor(IncompatibleProcessor)
    /// A page of the memory file is not the one that the root of its hash tree stands for.
    case wrongPage(offset: UInt64)
    /// A block of the tree is not the one that its root stands for.
    case wrongTree(offset: UInt64, page: UInt64)
    /// The tree's first block has not the digest that was given.
    case wrongRoot
    /// The tree is not as long as that of so much memory.
    case treeLength(wanted: UInt64)
    /// The memory file, or its tree, ends before it should, after it was opened.
    case cutOff(offset: UInt64)
    case file(LinuxError)
}

/// What a guest was told of its processor that this one cannot do.
public enum IncompatibleProcessor: Equatable, Sendable {
    case vendor
    /// Bits of one register of a CPUID leaf.
    case features(leaf: UInt32, subleaf: UInt32, register: StaticString, missing: UInt32)
    /// The time stamp counter runs at another speed, in kHz.
    case counter(saved: UInt32, now: UInt32)

    public static func == (left: Self, right: Self) -> Bool {
        switch (left, right) {
        case (.vendor, .vendor): true
        case (.features(let leaf, let subleaf, _, let missing), .features(let leaf2, let subleaf2, _, let missing2)):
            leaf == leaf2 && subleaf == subleaf2 && missing == missing2
        case (.counter(let saved, let now), .counter(let saved2, let now2)): saved == saved2 && now == now2
        default: false
        }
    }
}

extension SnapshotError {
    public static func == (left: Self, right: Self) -> Bool { left.description == right.description }
}

extension SnapshotError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .notASnapshot: "this is no snapshot's state file"
        case .newer(let major, let minor):
            "made by a newer version, in format \(major).\(minor); this one reads up to "
                + "\(SnapshotFormat.major).\(SnapshotFormat.minor): use the version that made it, or a newer one"
        case .architecture(let number): "made on another kind of processor (\(number)); this one is x86-64"
        case .length(let found, let wanted):
            "the state file has \(found) bytes and says \(wanted): it was cut off or changed; use another copy"
        case .damaged: "the state file is damaged (its checksum does not fit); use another copy"
        case .malformed(let part): "the state file's \(part) makes no sense"
        case .memoryTooShort(let found, let wanted):
            "the memory file has \(found) bytes, and \(wanted) are needed: it was cut off; use another copy"
        case .foreignMemory: "the memory file is not the one that was made with this state file"
        case .differentialMemory:
            "the memory file has only what changed since another snapshot: merge the two first "
                + "(swiftlet-vmm snapshot merge)"
        case .notDifferential: "this is no differential snapshot's memory file"
        case .notFull: "this is no full snapshot's memory file"
        case .damagedMemory: "the memory file is damaged, or made by a newer version; use another copy"
        case .otherParent:
            "it has what changed since another snapshot: give the one that it was made after, and those between in order"
        case .otherMemorySize(let found, let wanted):
            "it is of a machine with \(found >> 20) MiB of memory, and the other one has \(wanted >> 20)"
        case .processor(.vendor): "made on another maker's processor"
        case .processor(.features(let leaf, let subleaf, let register, let missing)):
            "the guest uses features that this processor lacks: CPUID leaf 0x\(String(leaf, radix: 16)) subleaf \(subleaf) "
                + "\(register), bits 0x\(String(missing, radix: 16))"
        case .processor(.counter(let saved, let now)):
            "the guest's time stamp counter runs at \(saved) kHz and this processor's at \(now) kHz"
        case .wrongPage(let offset):
            "the page at 0x\(String(offset, radix: 16)) of the memory file is not what its root says: it was changed or "
                + "damaged; use another copy"
        case .wrongTree(let offset, let page):
            "the block at 0x\(String(offset, radix: 16)) of the memory's tree, which is to vouch for the page at "
                + "0x\(String(page, radix: 16)), is not what its root says; use another copy"
        case .wrongRoot: "the memory's tree is not the one of this root: use those that were made together"
        case .treeLength(let wanted): "the memory's tree must have \(wanted) bytes; use another copy"
        case .cutOff(let offset):
            "the memory file or its tree was cut off at 0x\(String(offset, radix: 16)) or before; use another copy"
        case .file(let error): "\(error)"
        }
    }
}
