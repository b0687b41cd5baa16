import CLinux
import LinuxCalls

/// CPUID: what a guest is told about its processor. A table of leaves as KVM takes it.
/// Source: KVM API §4.46 (KVM_GET_SUPPORTED_CPUID), AMD APM volume 3 appendix E, Intel SDM volume 2 CPUID.
@safe public struct ProcessorIdentification: ~Copyable {
    private static let capacity = 128
    private static let headerBytes = 8
    private let storage: UnsafeMutableRawPointer

    init() {
        let size = Self.headerBytes + Self.capacity * MemoryLayout<kvm_cpuid_entry2>.stride
        // SAFETY: freed in deinit.
        unsafe storage = .allocate(byteCount: size, alignment: 8)
        unsafe storage.initializeMemory(as: UInt8.self, repeating: 0, count: size)
        unsafe storage.storeBytes(of: UInt32(Self.capacity), as: UInt32.self)
    }

    /// A table of these entries, as far as they have room.
    public init(_ leaves: [IdentificationLeaf]) {
        self.init()
        _ = set(Array(leaves.prefix(Self.capacity)))
    }

    deinit { unsafe storage.deallocate() }

    mutating func fill(_ descriptor: Int32, request: UInt) throws(LinuxError) {
        // SAFETY: the kernel fills at most the capacity that stands in the header.
        unsafe try systemCallRestarting(
            __NR_ioctl, Int(descriptor), Int(bitPattern: request), Int(bitPattern: storage))
    }

    borrowing func apply(to descriptor: Int32) throws(LinuxError) {
        // SAFETY: the kernel reads the table during the call.
        unsafe try systemCallRestarting(
            __NR_ioctl, Int(descriptor), Int(bitPattern: linux_KVM_SET_CPUID2), Int(bitPattern: storage))
    }

    private var entries: UnsafeMutableBufferPointer<kvm_cpuid_entry2> {
        // SAFETY: the header's count never exceeds the capacity: the kernel keeps to it, and `append` checks it.
        unsafe UnsafeMutableBufferPointer(
            start: (storage + Self.headerBytes).assumingMemoryBound(to: kvm_cpuid_entry2.self),
            count: min(Int(storage.load(as: UInt32.self)), Self.capacity))
    }

    /// Fits the table to processor `number` of `count`: its APIC id, the topology (one package, `count` cores of one
    /// thread), and what every guest of ours may rely on.
    public mutating func specialise(processor number: UInt32, of count: UInt32) {
        let idBits = UInt32(32 - (count - 1).leadingZeroBitCount) & 31
        removeLeaf(0xb)
        removeLeaf(0x1f)
        // SAFETY: entries lie inside the table.
        for index in unsafe entries.indices {
            unsafe Self.specialise(&entries[index], number, count, idBits)
        }
        // Extended topology: level 0 threads, level 1 cores, then the end.
        append(leaf: 0xb, subleaf: 0, eax: 0, ebx: 1, ecx: 1 << 8, edx: number)
        append(leaf: 0xb, subleaf: 1, eax: idBits, ebx: count, ecx: 1 | 2 << 8, edx: number)
        append(leaf: 0xb, subleaf: 2, eax: 0, ebx: 0, ecx: 2, edx: number)
    }

    private static func specialise(
        _ entry: inout kvm_cpuid_entry2, _ number: UInt32, _ count: UInt32, _ idBits: UInt32
    ) {
        switch entry.function {
        case 1:
            entry.ebx = entry.ebx & 0x0000_ffff | number << 24 | count << 16
            // TSC-deadline timer (KVM emulates it with a local APIC in the kernel) and "running under a hypervisor".
            entry.ecx |= 1 << 24 | 1 << 31
            entry.edx = count > 1 ? entry.edx | 1 << 28 : entry.edx & ~(1 << 28)
        case 4:
            let kind = entry.eax & 0x1f
            if kind == 0 { break }
            let level = entry.eax >> 5 & 7
            let sharing = level >= 3 ? count - 1 : 0
            let cores = UInt32(1) << idBits - 1
            entry.eax = entry.eax & 0x3fff | sharing << 14 | cores << 26
        case 6:
            // The APIC timer always runs.
            entry.eax |= 1 << 2
        case 0x8000_0008:
            entry.ecx = entry.ecx & ~0xf0ff | idBits << 12 | (count - 1)
        case 0x8000_001d:
            let kind = entry.eax & 0x1f
            if kind == 0 { break }
            let level = entry.eax >> 5 & 7
            entry.eax = entry.eax & 0x3fff | (level >= 3 ? count - 1 : 0) << 14
        case 0x8000_001e:
            entry.eax = number
            entry.ebx = entry.ebx & ~0xffff | number
            entry.ecx = 0
        default: break
        }
    }

    /// The table's entries, to be kept.
    public borrowing func copyLeaves() -> [IdentificationLeaf] {
        // SAFETY: entries lie inside the table.
        unsafe entries.map { entry in
            IdentificationLeaf(
                leaf: entry.function, subleaf: entry.index, flags: entry.flags, eax: entry.eax, ebx: entry.ebx,
                ecx: entry.ecx, edx: entry.edx)
        }
    }

    /// Becomes a table of these entries; false when they are too many.
    public mutating func set(_ leaves: [IdentificationLeaf]) -> Bool {
        guard leaves.count <= Self.capacity else { return false }
        // SAFETY: the count stays within the capacity.
        unsafe storage.storeBytes(of: UInt32(leaves.count), as: UInt32.self)
        for (index, leaf) in leaves.enumerated() {
            var entry = kvm_cpuid_entry2()
            entry.function = leaf.leaf
            entry.index = leaf.subleaf
            entry.flags = leaf.flags
            entry.eax = leaf.eax
            entry.ebx = leaf.ebx
            entry.ecx = leaf.ecx
            entry.edx = leaf.edx
            unsafe entries[index] = entry
        }
        return true
    }

    /// Gives the bits of a mask in one register (0 to 3: eax, ebx, ecx, edx) of an entry another value.
    /// - Returns: false when there is no such entry.
    public mutating func change(
        leaf: UInt32, subleaf: UInt32, flags: UInt32, register: Int, mask: UInt32, value: UInt32
    ) -> Bool {
        // SAFETY: entries lie inside the table.
        for index in unsafe entries.indices {
            var entry = unsafe entries[index]
            guard entry.function == leaf, entry.index == subleaf else { continue }
            switch register {
            case 0: entry.eax = entry.eax & ~mask | value
            case 1: entry.ebx = entry.ebx & ~mask | value
            case 2: entry.ecx = entry.ecx & ~mask | value
            default: entry.edx = entry.edx & ~mask | value
            }
            entry.flags = flags & 1
            unsafe entries[index] = entry
            return true
        }
        return false
    }

    private mutating func removeLeaf(_ leaf: UInt32) {
        // SAFETY: only entries below the count are touched.
        let all = unsafe entries
        var kept = 0
        for index in all.indices where unsafe all[index].function != leaf {
            unsafe all[kept] = all[index]
            kept += 1
        }
        unsafe storage.storeBytes(of: UInt32(kept), as: UInt32.self)
    }

    private mutating func append(leaf: UInt32, subleaf: UInt32, eax: UInt32, ebx: UInt32, ecx: UInt32, edx: UInt32) {
        // SAFETY: the count stays within the capacity.
        let count = unsafe entries.count
        guard count < Self.capacity else { return }
        unsafe storage.storeBytes(of: UInt32(count + 1), as: UInt32.self)
        var entry = kvm_cpuid_entry2()
        entry.function = leaf
        entry.index = subleaf
        entry.flags = 1  // KVM_CPUID_FLAG_SIGNIFCANT_INDEX
        entry.eax = eax
        entry.ebx = ebx
        entry.ecx = subleaf | ecx & ~0xff
        entry.edx = edx
        unsafe entries[count] = entry
    }
}

/// One entry of CPUID: what the guest reads for a leaf and subleaf.
public struct IdentificationLeaf: Equatable, Sendable {
    public let leaf: UInt32
    public let subleaf: UInt32
    /// Bit 0: the subleaf counts.
    public let flags: UInt32
    public let eax: UInt32
    public let ebx: UInt32
    public let ecx: UInt32
    public let edx: UInt32

    public init(
        leaf: UInt32, subleaf: UInt32, flags: UInt32, eax: UInt32, ebx: UInt32, ecx: UInt32, edx: UInt32
    ) {
        self.leaf = leaf
        self.subleaf = subleaf
        self.flags = flags
        self.eax = eax
        self.ebx = ebx
        self.ecx = ecx
        self.edx = edx
    }
}
